#!/usr/bin/env python3
"""A mount shared by Samba with docs/examples/smb.conf, used by smbclient as people use it."""

import fcntl
import hashlib
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import unittest

import harness
import private_host

BIG_MIB = int(os.environ.get("BIG_MIB", "192"))
MANY_FILES = int(os.environ.get("MANY_FILES", "1000"))
PASSWORD = "correct horse"
SHARE = ["smbclient", "//127.0.0.1/photos", "-U", "root%" + PASSWORD]


class Smbd:
    """smbd in the foreground; the constructor returns once it says that it is ready."""

    def __init__(self, *options):
        config = private_host.example("smb.conf")
        subprocess.run(["smbpasswd", "-c", config, "-L", "-s", "-a", "root"], check=True,
                       input=f"{PASSWORD}\n{PASSWORD}\n", text=True, capture_output=True)
        ready = "/run/smbd-ready"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(ready)
            try:
                # In a session of its own: when it ends it ends all of its process group.
                self.process = subprocess.Popen(
                    ["smbd", "--foreground", "--no-process-group", "-s", config, *options],
                    env=os.environ | {"NOTIFY_SOCKET": ready}, start_new_session=True)
                self.wait_until_ready(notified)
            finally:
                os.unlink(ready)

    def wait_until_ready(self, notified):
        """Raises, and leaves no process, if it ends before or says nothing."""
        ended = os.pidfd_open(self.process.pid)
        try:
            said = b""
            while b"READY=1" not in said:
                heard, _, _ = select.select([notified, ended], [], [], harness.TIMEOUT_S)
                if notified not in heard:
                    raise AssertionError(f"smbd is not ready; exit status {self.process.poll()}")
                said = notified.recv(4096)
        except BaseException:
            self.end()
            raise
        finally:
            os.close(ended)

    def end(self):
        private_host.end(self.process)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class SambaCase(unittest.TestCase):
    smbd_options = ()

    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-samba-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = private_host.ExportedMount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        self.fs.mount()
        self.smbd = Smbd(*self.smbd_options)
        self.addCleanup(lambda: self.smbd.end())
        self.random = harness.seeded_random()

    def smb(self, commands, cwd=None, expect=0):
        done = subprocess.run([*SHARE, "-c", commands], cwd=cwd or self.work, text=True,
                              capture_output=True, check=False,
                              timeout=harness.TIMEOUT_S + MANY_FILES // 10)
        said = done.stdout + done.stderr
        if expect is not None:
            self.assertEqual(done.returncode, expect, said)
            if expect == 0:
                self.assertNotIn("NT_STATUS", said)
        return said

    def listed(self, pattern):
        """Names of one directory as SMB tells them."""
        lines = self.smb(f'ls "{pattern}"').splitlines()
        entries = [re.match(r"  (.+?) +[DAHSRN]* +\d+  \w{3} ", line) for line in lines]
        return sorted(e.group(1) for e in entries if e and e.group(1) not in (".", ".."))

    def make(self, name, data):
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path


class Trees(SambaCase):
    def test_a_tree_is_put_listed_renamed_got_back_and_deleted(self):
        for number in range(40):
            self.make(f"tree/d{number % 5}/e/file {number}", self.random.randbytes(number * 3000))
        self.smb("recurse; prompt; mput *", cwd=self.make_tree_alone())
        self.assertEqual(self.listed("tree/*"), [f"d{n}" for n in range(5)])
        self.assertEqual(len(self.listed("tree/d3/e/*")), 8)
        self.smb('rename tree\\d3 tree\\moved; rename "tree\\moved\\e\\file 3" "other name"')
        self.assertEqual(sorted(os.listdir(self.fs.join("tree"))), ["d0", "d1", "d2", "d4", "moved"])
        self.smb('rename "other name" "tree\\moved\\e\\file 3"; rename tree\\moved tree\\d3')
        back = os.path.join(self.work, "back")
        os.mkdir(back)
        self.smb("recurse; prompt; mget tree", cwd=back)
        subprocess.run(["diff", "-r", os.path.join(self.work, "tree"), back + "/tree"], check=True)
        subprocess.run(["diff", "-r", os.path.join(self.work, "tree"), self.fs.join("tree")],
                       check=True)
        self.smb("deltree tree")
        self.assertEqual(os.listdir(self.fs.path), [])

    def make_tree_alone(self):
        """A directory with nothing but the tree: mput takes all that it finds."""
        alone = os.path.join(self.work, "alone")
        os.mkdir(alone)
        shutil.copytree(os.path.join(self.work, "tree"), alone + "/tree")
        return alone

    def test_many_files_in_one_directory(self):
        folder = os.path.join(self.work, "many")
        os.mkdir(folder)
        for number in range(MANY_FILES):
            self.make(f"many/file{number:05}", b"%d" % number)
        self.smb("prompt; mkdir many; cd many; mput *", cwd=folder)
        self.assertEqual(self.listed("many/*"), sorted(os.listdir(folder)))
        subprocess.run(["diff", "-r", folder, self.fs.join("many")], check=True)
        self.smb("deltree many")
        self.assertFalse(os.path.exists(self.fs.join("many")))

    def test_what_was_put_is_there_after_samba_and_the_daemon_were_restarted(self):
        self.smb(f"put {self.make('kept', b'kept' * 1000)} kept")
        self.smbd.end()
        self.fs.remount()
        self.smbd = Smbd()
        self.smb("get kept back")
        self.assertEqual(sha256(os.path.join(self.work, "back")), sha256(self.fs.join("kept")))
        self.smbd.end()
        self.fs.umount()
        self.fs.check()


class Names(SambaCase):
    NAMES = ["Übergröße.TXT", "日本語のファイル", "Ωμέγα Σίσυφος", "emoji 😀 name", "Дом.doc"]

    def test_unicode_names_go_both_ways(self):
        source = self.make("source", b"content")
        for name in self.NAMES:
            self.smb(f'put {source} "{name}"')
        self.assertEqual(sorted(os.listdir(self.fs.path)), sorted(self.NAMES))
        self.assertEqual(self.listed("*"), sorted(self.NAMES))

    def test_a_name_is_found_in_any_case_and_no_second_one_is_made(self):
        os.mkdir(self.fs.join("Photos Ärger"))
        for name in self.NAMES:
            with open(self.fs.join("Photos Ärger", name), "w", encoding="utf-8") as file:
                file.write(name)
        for name in self.NAMES:
            self.smb(f'get "pHOTOS äRGER\\{name.swapcase()}" out'.replace("SS", "ß"))
            with open(os.path.join(self.work, "out"), encoding="utf-8") as file:
                self.assertEqual(file.read(), name)
        self.smb(f"put {self.make('new', b'new')} \"photos ärger\\дОМ.DOC\"")
        self.assertEqual(sorted(os.listdir(self.fs.join("Photos Ärger"))), sorted(self.NAMES))
        with open(self.fs.join("Photos Ärger", "Дом.doc"), "rb") as file:
            self.assertEqual(file.read(), b"new")
        self.assertIn("NT_STATUS_OBJECT_NAME_NOT_FOUND", self.smb("get nothing out", expect=1))

    def test_a_name_too_long_to_be_asked_for_is_listed_and_read_as_it_stands(self):
        name = "n" * 250
        with open(self.fs.join(name), "wb") as file:
            file.write(b"content")
        self.smb(f"get {name} out")
        self.assertEqual(self.listed("*"), [name])

    def test_alternate_streams_are_xattrs_and_come_back(self):
        self.smb(f"put {self.make('file', b'main')} file; "
                 f"put {self.make('stream', b'beside')} file:note; get file:note back")
        with open(os.path.join(self.work, "back"), "rb") as file:
            self.assertEqual(file.read(), b"beside")
        streams = [name for name in os.listxattr(self.fs.join("file")) if "note" in name]
        self.assertEqual(len(streams), 1, os.listxattr(self.fs.join("file")))


class Content(SambaCase):
    def test_a_big_file_each_way_and_its_server_side_copy_costs_no_bytes(self):
        block = self.random.randbytes(8 << 20)
        big = os.path.join(self.work, "big")
        with open(big, "wb") as file:
            for number in range(BIG_MIB // 8):
                file.write(bytes([number % 256]) + block[number:] + block[:number])
        wanted = sha256(big)
        self.smb(f"put {big} big")
        self.assertEqual(sha256(self.fs.join("big")), wanted)
        before = self.fs.unique_bytes()
        self.assertGreater(before, 8 << 20)
        read_before = self.fs.bytes_read_by_daemon()
        self.smb("scopy big copy")
        read = self.fs.bytes_read_by_daemon() - read_before
        print(f"a server-side copy of {BIG_MIB} MiB gave the daemon {read} bytes")
        self.assertLess(read, os.path.getsize(big) // 4, "recipes were copied, not content")
        # Where Samba splits the copy is no boundary of chunks, yet whole recipes come out of it.
        self.assertLess(self.fs.unique_bytes() - before, 1 << 20)
        self.assertEqual(sha256(self.fs.join("copy")), wanted)
        self.smb("get copy back; del big; del copy")
        self.assertEqual(sha256(os.path.join(self.work, "back")), wanted)

    def test_several_clients_at_once(self):
        clients = []
        for number in range(6):
            self.make(f"c{number}/own", self.random.randbytes(3 << 20))
            self.make(f"c{number}/second", self.random.randbytes(100_000))
            commands = (f"mkdir c{number}; cd c{number}; put own; put second; get own back; "
                        "rename second renamed; scopy own copied; ls")
            clients.append(subprocess.Popen([*SHARE, "-c", commands], text=True,
                                            cwd=os.path.join(self.work, f"c{number}"),
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        for number, client in enumerate(clients):
            said, _ = client.communicate(timeout=harness.TIMEOUT_S)
            self.assertEqual((client.returncode, "NT_STATUS" in said), (0, False), said)
            wanted = sha256(os.path.join(self.work, f"c{number}", "own"))
            for path in (self.fs.join(f"c{number}", "own"), self.fs.join(f"c{number}", "copied"),
                         os.path.join(self.work, f"c{number}", "back")):
                self.assertEqual(sha256(path), wanted)
            self.assertEqual(sorted(os.listdir(self.fs.join(f"c{number}"))),
                             ["copied", "own", "renamed"])


class Locks(SambaCase):
    # The only locks that smbclient can ask for are those of the UNIX extensions of SMB 1.
    smbd_options = ("--option=server min protocol=NT1",)

    def client(self):
        return subprocess.Popen(["stdbuf", "-oL", *SHARE,
                                 "--option=client min protocol=NT1", "-m", "NT1"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, cwd=self.work)

    def ask(self, client, command):
        """What the client says to a command, up to the echo that marks the end of it."""
        self.type(client, command + "\n!echo end-of-answer\n")
        said = ""
        while not re.search(r"^end-of-answer$", said, re.MULTILINE):
            if not select.select([client.stdout], [], [], 1)[0]:
                self.type(client, "\n")  # it has read two lines at once, and waits for a third
                continue
            more = os.read(client.stdout.fileno(), 4096).decode()
            self.assertNotEqual(more, "", "smbclient ended: " + said)
            said += more
        return said

    def type(self, client, text):
        client.stdin.write(text.encode())
        client.stdin.flush()

    def test_a_lock_by_smb_stops_a_local_program(self):
        with open(self.fs.join("locked"), "wb") as file:
            file.write(bytes(1000))
        with self.client() as client, open(self.fs.join("locked"), "r+b") as local:
            try:
                self.ask(client, "posix")
                opened = self.ask(client, "posix_open locked rw 0644")
                number = re.search(r"fnum (\d+)", opened).group(1)
                # Start and length are hexadecimal: bytes 100 to 149.
                self.assertNotIn("NT_STATUS", self.ask(client, f"lock {number} w 64 32"))
                for start, length in ((0, 101), (149, 1), (0, 0)):
                    with self.assertRaises(BlockingIOError):
                        fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
                fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, 100, 0)
                fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, 150)
                self.ask(client, f"unlock {number} 64 32")
                fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, 0)
            finally:
                client.stdin.close()
                client.stdout.read()

    def test_a_lock_of_a_local_program_stops_smb(self):
        with open(self.fs.join("locked"), "wb") as file:
            file.write(b"content")
        with open(self.fs.join("locked"), "r+b") as local:
            fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, 4, 2)
            self.assertIn("NT_STATUS_FILE_LOCK_CONFLICT", self.smb("get locked out", expect=None))
            fcntl.lockf(local, fcntl.LOCK_UN, 4, 2)
            self.smb("get locked out")


if __name__ == "__main__":
    private_host.enter("smbd", "smbclient", "smbpasswd", "unshare", "ip")
    unittest.main(verbosity=2)
