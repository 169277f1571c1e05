#!/usr/bin/env python3
"""A mount exported by NFS-Ganesha with docs/examples/ganesha.conf, used by NFS 3 and 4 clients."""

import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import harness
import libnfs
import private_host

BIG_MIB = int(os.environ.get("BIG_MIB", "192"))
MANY_FILES = int(os.environ.get("MANY_FILES", "1000"))
VERSIONS = (3, 4)
SETTLE = re.compile(r"NFS SERVER INITIALIZED")


class Ganesha:
    """ganesha.nfsd in the foreground; the constructor returns once it serves."""

    def __init__(self):
        # As documented, but that clients of NFS 4 need not wait for others to reclaim their locks.
        with open(private_host.example("ganesha.conf"), encoding="utf-8") as file:
            text, replaced = re.subn(r"Grace_Period = \d+;", "Graceless = true;", file.read())
        assert replaced == 1
        with open("/run/ganesha/ganesha.conf", "w", encoding="utf-8") as file:
            file.write(text)
        self.process = subprocess.Popen(
            ["ganesha.nfsd", "-F", "-L", "STDOUT", "-f", "/run/ganesha/ganesha.conf",
             "-p", "/run/ganesha/pid", "-N", "NIV_EVENT"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if SETTLE.search(line):
                break
        else:
            raise AssertionError("ganesha.nfsd ended:\n" + "".join(said))
        self.reader = threading.Thread(target=self.process.stdout.read)
        self.reader.start()

    def end(self):
        private_host.end(self.process)
        self.reader.join()
        self.process.stdout.close()


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class NfsCase(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-nfs-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = private_host.ExportedMount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        self.fs.mount()
        os.chown(self.fs.path, 1000, 1000)  # root of the clients is squashed
        self.ganesha = Ganesha()
        self.addCleanup(lambda: self.ganesha.end())
        self.random = harness.seeded_random()

    def client(self, version):
        client = libnfs.Client(version, uid=1000)
        self.addCleanup(client.close)
        return client

    def tool(self, *arguments):
        done = subprocess.run(arguments, text=True, capture_output=True, check=False, user=1000,
                              group=1000, extra_groups=[], timeout=harness.TIMEOUT_S)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout


class Trees(NfsCase):
    def test_a_tree_is_made_listed_renamed_and_deleted(self):
        for version in VERSIONS:
            client = self.client(version)
            content = {}
            client.mkdir("/tree")
            for number in range(20):
                if number < 4:
                    client.mkdir(f"/tree/d{number}")
                path = f"/tree/d{number % 4}/ünï {number}"
                content[path] = self.random.randbytes(number * 5000)
                client.put(path, content[path])
            self.assertEqual(client.list("/tree"), ["d0", "d1", "d2", "d3"])
            for path, data in content.items():
                with open(self.fs.path + path, "rb") as file:
                    self.assertEqual(file.read(), data)
            client.link("/tree/d1/ünï 1", "/tree/hard")
            client.symlink("d1/ünï 1", "/tree/soft")
            self.assertEqual(os.stat(self.fs.join("tree/hard")).st_nlink, 2)
            self.assertEqual(os.readlink(self.fs.join("tree/soft")), "d1/ünï 1")
            client.rename("/tree/d1", "/tree/moved")
            client.rename("/tree/moved/ünï 1", "/tree/d2/ünï 2")  # over another one
            self.assertEqual(client.list("/tree"), ["d0", "d2", "d3", "hard", "moved", "soft"])
            handle = client.open("/tree/d2/ünï 2")
            self.assertEqual(client.read(handle, 0, 10_000), content["/tree/d1/ünï 1"])
            client.close_file(handle)
            with self.assertRaises(OSError):
                client.rmdir("/tree/d3")  # not empty
            for path in sorted(content):
                if "d1/" not in path:
                    client.unlink(path)
            for number in (5, 9, 13, 17):
                client.unlink(f"/tree/moved/ünï {number}")
            for name in ("hard", "soft"):
                client.unlink("/tree/" + name)
            for name in ("d0", "d2", "d3", "moved"):
                client.rmdir("/tree/" + name)
            client.rmdir("/tree")
            self.assertEqual(os.listdir(self.fs.path), [])

    def test_many_files_in_one_directory(self):
        for version in VERSIONS:
            client = self.client(version)
            client.mkdir("/many")
            names = [f"file{number:05}" for number in range(MANY_FILES)]
            for name in names[::2]:
                client.put(f"/many/{name}", name.encode())
            for name in names[1::2]:
                with open(self.fs.join("many", name), "w", encoding="utf-8") as file:
                    file.write(name)
            # A client that has not listed it before: NFS clients cache directories by their times.
            self.assertEqual(self.client(version).list("/many"), names)
            with open(self.fs.join("many", names[0]), encoding="utf-8") as file:
                self.assertEqual(file.read(), names[0])
            for name in names:
                client.unlink(f"/many/{name}")
            client.rmdir("/many")

    def test_several_clients_at_once(self):
        faults = []

        def work(number):
            try:
                client = libnfs.Client(VERSIONS[number % 2], uid=1000)
                client.mkdir(f"/c{number}")
                for index in range(30):
                    client.put(f"/c{number}/{index}", b"%d" % number * 20_000)
                    client.rename(f"/c{number}/{index}", f"/c{number}/renamed {index}")
                for index in range(10):
                    client.unlink(f"/c{number}/renamed {index}")
                client.close()
            except OSError as error:
                faults.append(f"client {number}: {error}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(faults, [])
        for number in range(6):
            folder = self.fs.join(f"c{number}")
            self.assertEqual(len(os.listdir(folder)), 20)
            with open(os.path.join(folder, "renamed 29"), "rb") as file:
                self.assertEqual(file.read(), b"%d" % number * 20_000)


class Content(NfsCase):
    def test_a_big_file_each_way(self):
        block = self.random.randbytes(8 << 20)
        os.chmod(self.work, 0o777)
        big = os.path.join(self.work, "big")
        with open(big, "wb") as file:
            for number in range(BIG_MIB // 8):
                file.write(bytes([number % 256]) + block[number:] + block[:number])
        wanted = sha256(big)
        # libnfs writes large files with NFS 3 only (see libnfs.py).
        self.tool("nfs-cp", big, "nfs://127.0.0.1/srv/photos/big")
        self.assertEqual(sha256(self.fs.join("big")), wanted)
        for url in ("nfs://127.0.0.1/srv/photos/{}", "nfs://127.0.0.1/photos/{}?version=4"):
            self.assertIn("big", self.tool("nfs-ls", url.format("")))
            back = os.path.join(self.work, "back")
            self.tool("nfs-cp", url.format("big"), back)
            self.assertEqual(sha256(back), wanted)
            os.unlink(back)
        before = self.fs.unique_bytes()
        self.tool("nfs-cp", big, "nfs://127.0.0.1/srv/photos/again")
        self.assertEqual(sha256(self.fs.join("again")), wanted)
        self.assertEqual(self.fs.unique_bytes(), before)

    def test_what_nfs_4_wrote_is_there(self):
        client = self.client(4)
        data = self.random.randbytes(300_000)
        client.put("/file", data)
        with open(self.fs.join("file"), "rb") as file:
            self.assertEqual(file.read(), data)
        handle = client.open("/file")
        self.assertEqual(client.read(handle, 100_000, 50_000), data[100_000:150_000])
        client.close_file(handle)

    def test_a_lock_by_nfs_stops_a_local_program_and_the_other_way_round(self):
        client = self.client(4)
        client.put("/locked", bytes(1000))
        handle = client.open("/locked", os.O_RDWR)
        with open(self.fs.join("locked"), "r+b") as local:
            client.lock(handle, libnfs.TRY_LOCK, 100)
            with self.assertRaises(BlockingIOError):
                fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 99)
            fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 100)
            client.lock(handle, libnfs.UNLOCK, 100)
            fcntl.lockf(local, fcntl.LOCK_EX | fcntl.LOCK_NB, 100, 0)
            with self.assertRaises(OSError):
                client.lock(handle, libnfs.TRY_LOCK, 100)
            fcntl.lockf(local, fcntl.LOCK_UN)
            client.lock(handle, libnfs.TRY_LOCK, 100)


def file_handle(path):
    """What name_to_handle_at(2) gives: the part of a file handle of NFS that is ours."""
    buffer = ctypes.create_string_buffer(8 + 128)
    ctypes.cast(buffer, ctypes.POINTER(ctypes.c_uint32))[0] = 128
    mount_id = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.name_to_handle_at(-100, os.fsencode(path), buffer, ctypes.byref(mount_id), 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return buffer


def open_handle(mount, handle):
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.open_by_handle_at(mount, handle, os.O_RDONLY)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


class Restarts(NfsCase):
    def test_a_client_goes_on_with_its_handles_after_everything_was_restarted(self):
        client = self.client(3)
        client.mkdir("/dir")
        client.put("/dir/file", b"before")
        handle = client.open("/dir/file", os.O_RDWR)
        self.assertEqual(client.read(handle, 0, 100), b"before")
        self.ganesha.end()
        self.fs.umount()
        self.fs.check()
        self.fs.mount()
        self.ganesha = Ganesha()
        self.assertEqual(client.read(handle, 0, 100), b"before")
        client.write(handle, 0, b"behind")
        client.fsync(handle)
        client.rename("/dir/file", "/dir/renamed")
        self.assertEqual(client.read(handle, 0, 100), b"behind")
        with open(self.fs.join("dir/renamed"), "rb") as file:
            self.assertEqual(file.read(), b"behind")

    def test_handles_open_what_they_named_after_a_restart_of_the_daemon(self):
        self.ganesha.end()
        os.makedirs(self.fs.join("a/b"))
        paths = [self.fs.join("a"), self.fs.join("a/b")]
        for number in range(50):
            paths.append(self.fs.join(f"a/b/{number}"))
            with open(paths[-1], "w", encoding="utf-8") as file:
                file.write(f"content {number}")
        handles = [file_handle(path) for path in paths]
        gone = file_handle(paths.pop())
        inodes = [os.stat(path).st_ino for path in paths]
        os.unlink(self.fs.join("a/b/49"))
        os.rename(self.fs.join("a/b"), self.fs.join("elsewhere"))
        self.fs.remount()
        mount = os.open(self.fs.path, os.O_RDONLY)
        try:
            for index, inode in enumerate(inodes):
                fd = open_handle(mount, handles[index])
                self.assertEqual(os.fstat(fd).st_ino, inode)
                if index >= 2:
                    self.assertEqual(os.read(fd, 100), f"content {index - 2}".encode())
                os.close(fd)
            with self.assertRaises(OSError) as stale:
                open_handle(mount, gone)
            self.assertEqual(stale.exception.errno, 116)  # ESTALE
        finally:
            os.close(mount)
        self.ganesha = Ganesha()


if __name__ == "__main__":
    private_host.enter("ganesha.nfsd", "rpcbind", "nfs-cp", "unshare", "ip")
    subprocess.run(["rpcbind"], check=True)  # returns once it listens
    unittest.main(verbosity=2)
