#!/usr/bin/env python3
"""The command line: every wrong argument, its message and status; the life of a mount."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import harness
from harness import dedupfs

HELPER = os.environ.get("DEDUPFS_MOUNT_HELPER", "mount.fuse.dedupfs")


class CliCase(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-cli-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)

    def at(self, *names):
        return os.path.join(self.work, *names)

    def refused(self, exit_code, pattern, *arguments):
        done = dedupfs(*arguments, expect=exit_code)
        self.assertRegex(done.stderr + done.stdout, pattern)
        return done


class WrongArguments(CliCase):
    def test_usage(self):
        for arguments, pattern in (
                ((), "subcommand"), (("explode",), "explode"), (("format",), "STORE"),
                (("mount", self.fs.store), "DIR"), (("mount",), "STORE"),
                (("stats",), "TARGET"), (("umount",), "TARGET"), (("check",), "STORE"),
                (("scrub",), "TARGET"), (("scrub", "--rate", "0", self.fs.store), "rate"),
                (("stats", "--fast", self.fs.store), "--fast"),
                (("stats", self.fs.store, "more"), "more"),
                (("format", "--chunk-kib", "17", self.at("new")), "chunk-kib"),
                (("format", "--uid", "me", self.at("new")), "uid"),
                (("umount", "--timeout", "-1", self.fs.path), "timeout")):
            with self.subTest(arguments):
                self.refused(2, pattern, *arguments)
        self.assertFalse(os.path.exists(self.at("new")))

    def test_wrong_mount_options_are_named(self):
        for options, pattern in (("compress=lzo", "compress=lzo"), ("remount", "remount"),
                                 ("ro,fsname=my-disk", "fsname.*mount table")):
            with self.subTest(options):
                self.refused(2, pattern, "mount", "-o", options, self.fs.store, self.fs.path)

    def test_no_store_there(self):
        empty = self.at("empty")
        os.mkdir(empty)
        for path in (empty, self.at("missing")):
            for command in ("stats", "check", "status", "sync", "reclaim", "recompress"):
                with self.subTest(command, path=path):
                    self.refused(3, re.escape(path), command, path)
            self.refused(3, re.escape(path), "mount", path, self.fs.path)
        self.assertEqual(os.listdir(empty), [])

    def test_format_does_not_touch_what_is_there(self):
        self.refused(1, re.escape(self.fs.store), "format", self.fs.store)
        full = self.at("full")
        os.mkdir(full)
        open(os.path.join(full, "mine"), "w", encoding="ascii").close()
        self.refused(1, "not empty|ENOTEMPTY", "format", full)
        self.assertEqual(os.listdir(full), ["mine"])

    def test_mount_point_unusable(self):
        file = self.at("file")
        open(file, "w", encoding="ascii").close()
        self.refused(6, re.escape(file), "mount", self.fs.store, file)
        self.refused(6, "missing", "mount", self.fs.store, self.at("missing"))
        inside = os.path.join(self.fs.store, "inside")
        os.mkdir(inside)
        self.refused(6, "inside", "mount", self.fs.store, inside)
        self.refused(6, re.escape(self.work), "mount", self.fs.store, self.work)

    def test_newer_format(self):
        path = os.path.join(self.fs.store, "format")
        with open(path, encoding="ascii") as file:
            text = file.read()
        newer = re.sub(r"(?m)^version = \d+$", "version = 4242", text)
        self.assertNotEqual(newer, text)
        with open(path, "w", encoding="ascii") as file:
            file.write(newer)
        for command in (("stats", self.fs.store), ("check", self.fs.store),
                        ("mount", self.fs.store, self.fs.path)):
            with self.subTest(command):
                self.refused(5, "4242", *command)

    def add_to_format(self, line):
        with open(os.path.join(self.fs.store, "format"), "a", encoding="ascii") as file:
            file.write(line + "\n")

    def test_an_unknown_incompatible_feature_is_named(self):
        self.add_to_format('incompatible_features = "0000020000000004"')
        for command in (("stats", self.fs.store), ("check", self.fs.store),
                        ("export", self.fs.store, self.at("out")),
                        ("mount", "-o", "ro", self.fs.store, self.fs.path)):
            with self.subTest(command):
                self.refused(5, "bit 2, 41$", *command)

    def test_a_store_with_an_unknown_read_only_compatible_feature_is_only_read(self):
        self.fs.mount()
        with open(self.fs.join("file"), "wb") as file:
            file.write(b"here")
        self.fs.umount()
        self.add_to_format('read_only_compatible_features = "8000000000000000"')
        for command in (("mount", self.fs.store, self.fs.path), ("reclaim", self.fs.store)):
            self.refused(5, r"bit 63 \(it can be mounted with -o ro", *command)
        self.fs.mount("ro")
        with open(self.fs.join("file"), "rb") as file:
            self.assertEqual(file.read(), b"here")
        self.fs.umount()
        dedupfs("check", self.fs.store)
        dedupfs("export", self.fs.store, self.at("out"))

    def test_an_unknown_compatible_feature_is_no_matter(self):
        self.add_to_format('compatible_features = "ffffffffffffffff"')
        self.fs.mount()
        with open(self.fs.join("file"), "wb") as file:
            file.write(b"here")
        self.fs.umount()
        dedupfs("check", self.fs.store)

    def test_features_that_are_no_bits_are_damage(self):
        self.add_to_format('incompatible_features = 0')
        self.refused(1, "16 hexadecimal digits", "stats", self.fs.store)

    def test_wrong_setting_is_named_with_its_line(self):
        with open(os.path.join(self.fs.store, "dedupfs.toml"), "w", encoding="ascii") as file:
            file.write("threads = 1\nthread = 2\n")
        self.refused(1, r"dedupfs.toml:2: thread", "mount", self.fs.store, self.fs.path)

    def test_errors_as_json(self):
        done = self.refused(3, "missing", "stats", "--json", self.at("missing"))
        error = json.loads(done.stdout)["error"]
        self.assertEqual(error["code"], "ENOENT")
        self.assertIn("missing", error["message"])

    def test_umount_of_what_is_not_mounted(self):
        self.refused(1, "neither a mounted store", "umount", self.fs.path)
        self.refused(1, "neither a mounted store", "umount", self.fs.store)

    def test_version_and_help(self):
        self.assertRegex(dedupfs("version").stdout, r"^dedupfs \d+\.\d+\.\d+\n$")
        self.assertIn("version", json.loads(dedupfs("version", "--json").stdout))
        self.assertIn("mount", dedupfs("--help").stdout)


class UnmountedStore(CliCase):
    def test_every_question_has_an_answer(self):
        stats = json.loads(dedupfs("stats", "--json", self.fs.store).stdout)
        self.assertEqual(stats["logical_bytes"], 0)
        self.assertIsNone(stats["dedup_ratio"])
        self.assertFalse(stats["mounted"])
        self.assertRegex(dedupfs("stats", self.fs.store).stdout, r"dedup ratio +-")
        self.assertIn("not mounted", dedupfs("status", self.fs.store).stdout)
        dedupfs("sync", self.fs.store)
        dedupfs("reclaim", self.fs.store)
        self.assertIn("nothing to rewrite", dedupfs("recompress", self.fs.store).stdout)
        self.assertIn("no damage", dedupfs("scrub", self.fs.store).stdout)
        self.assertIn("no problems", dedupfs("check", self.fs.store).stdout)


class MountedStore(CliCase):
    def write(self, name="file", size=100_000):
        data = os.urandom(size)
        with open(self.fs.join(name), "wb") as file:
            file.write(data)
        return data

    def read(self, name="file"):
        with open(self.fs.join(name), "rb") as file:
            return file.read()

    def test_mount_returns_when_the_mount_answers(self):
        self.fs.mount()
        self.assertTrue(self.fs.is_mounted())
        self.assertEqual(os.listdir(self.fs.path), [])
        data = self.write()
        self.fs.remount()
        self.assertEqual(self.read(), data)

    def test_umount_returns_when_the_store_is_free(self):
        for number in range(5):
            self.fs.mount()
            self.write(f"file{number}")
            dedupfs("umount", self.fs.path if number % 2 else self.fs.store)
            dedupfs("check", self.fs.store)
        self.assertFalse(os.path.exists(os.path.join(self.fs.store, "control.sock")))

    def test_check_names_the_file_that_damage_touches(self):
        self.fs.mount()
        os.mkdir(self.fs.join("photos"))
        data = self.write("photos/cat.raw", size=300_000)
        self.write("sound")
        self.fs.umount()
        self.fs.flip(data, 150_000)
        said = dedupfs("check", self.fs.store, expect=8).stdout
        self.assertIn("/photos/cat.raw", said)
        self.assertNotIn("/sound", said)
        result = json.loads(dedupfs("check", "--json", self.fs.store, expect=8).stdout)
        self.assertGreaterEqual(result["problems"], 1)
        self.fs.mount()
        with self.assertRaises(OSError) as caught:
            self.read("photos/cat.raw")
        self.assertEqual(caught.exception.errno, errno.EIO)
        with open(self.fs.join("photos/cat.raw"), "wb") as file:
            file.write(data)  # the same content heals it
        dedupfs("sync", self.fs.path)
        self.fs.umount()
        dedupfs("check", self.fs.store)

    def test_questions_go_to_the_daemon(self):
        self.fs.mount()
        self.write(size=300_000)
        for target in (self.fs.store, self.fs.path):
            dedupfs("sync", target)
            stats = json.loads(dedupfs("stats", "--json", target).stdout)
            self.assertTrue(stats["mounted"])
            self.assertEqual(stats["logical_bytes"], 300_000)
            status = json.loads(dedupfs("status", "--json", target).stdout)
            self.assertEqual(status["mountpoint"], self.fs.path)
            self.assertEqual(status["store"], self.fs.store)
        os.unlink(self.fs.join("file"))
        self.assertIn("gave back", dedupfs("reclaim", self.fs.path).stdout)

    def test_recompressed_content_is_smaller_and_the_same(self):
        self.fs.mount()
        text = " ".join(f"{number} bottles" for number in range(100_000)).encode()
        with open(self.fs.join("text"), "wb") as file:
            file.write(text)
        dedupfs("sync", self.fs.path)
        before = json.loads(dedupfs("stats", "--json", self.fs.path).stdout)["stored_bytes"]
        self.assertRegex(dedupfs("recompress", self.fs.path).stdout, r"rewrote 1 pack: .* are now ")
        after = json.loads(dedupfs("stats", "--json", self.fs.path).stdout)["stored_bytes"]
        self.assertLess(after, before * 0.8)
        self.assertIn("nothing to rewrite", dedupfs("recompress", self.fs.path).stdout)
        self.fs.umount()
        self.assertIn("no problems", dedupfs("check", self.fs.store).stdout)
        self.fs.mount()
        with open(self.fs.join("text"), "rb") as file:
            self.assertEqual(file.read(), text)

    def test_a_store_in_use_is_not_opened_twice(self):
        self.fs.mount()
        other = self.at("other")
        os.mkdir(other)
        self.refused(4, re.escape(self.fs.path), "mount", self.fs.store, other)
        self.refused(4, "unmount", "check", self.fs.store)

    def test_a_mount_point_in_use_is_not_mounted_on(self):
        self.fs.mount()
        dedupfs("format", self.at("store2"))
        self.refused(6, "mounted there already", "mount", self.at("store2"), self.fs.path)

    def test_busy_mount_is_not_unmounted(self):
        self.fs.mount()
        with open(self.fs.join("open"), "w", encoding="ascii"):
            self.refused(1, "busy", "umount", self.fs.path)
            self.assertTrue(self.fs.is_mounted())
        self.fs.umount()

    def test_signals_end_the_daemon_well(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number):
                self.fs.mount_as_child()
                data = self.write()
                self.fs.daemon.send_signal(number)
                self.assertEqual(self.fs.end_of_daemon(), 0)
                self.assertFalse(self.fs.is_mounted())
                self.fs.mount()
                self.assertEqual(self.read(), data)
                self.fs.umount()

    def test_fusermount_ends_the_daemon_well(self):
        self.fs.mount_as_child()
        data = self.write()
        subprocess.run(["fusermount3", "-u", self.fs.path], check=True)
        self.assertEqual(self.fs.end_of_daemon(), 0)
        self.fs.mount()
        self.assertEqual(self.read(), data)

    def test_mounting_waits_for_the_end_of_the_daemon_before(self):
        self.fs.mount()
        self.write(size=30 << 20)
        subprocess.run(["fusermount3", "-u", self.fs.path], check=True)
        self.fs.mount()

    def test_a_killed_daemon_leaves_a_mount_that_says_what_to_do(self):
        self.fs.mount_as_child()
        self.fs.kill()
        self.refused(6, "dedupfs umount", "mount", self.fs.store, self.fs.path)
        dedupfs("umount", self.fs.path)
        self.fs.mount()

    def test_read_only_mount(self):
        self.fs.mount("ro,noatime,nofail,x-systemd.automount")
        with self.assertRaises(OSError):
            self.write()

    def test_every_word_on_access_times_is_taken(self):
        self.fs.mount("strictatime,nodiratime")
        self.write()

    def test_the_mount_helper(self):
        binaries = os.path.dirname(harness.BINARY)
        environment = dict(os.environ, PATH=binaries + os.pathsep + os.environ["PATH"])
        subprocess.run([HELPER, self.fs.store, self.fs.path, "-n", "-o", "rw,noatime"], check=True,
                       env=environment)
        self.assertTrue(self.fs.is_mounted())
        self.write()
        self.fs.umount()
        refused = subprocess.run([HELPER, self.fs.store, self.fs.path, "-o", "nonsense"],
                                 check=False, env=environment, capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("nonsense", refused.stderr)
        subprocess.run([HELPER, self.fs.store, self.fs.path, "-f"], check=True, env=environment)
        self.assertFalse(self.fs.is_mounted())


if __name__ == "__main__":
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIPPED: needs fuse: most of this mounts")
        sys.exit(0)
    unittest.main(verbosity=2)
