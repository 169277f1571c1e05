#!/usr/bin/env python3
"""`backup-metadata` and `restore`: drills in which the database is lost, as an operator meets them."""

import errno
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
import real_tree
from harness import dedupfs

UNPACK = os.environ.get("DEDUPFS_UNPACK", "dedupfs-unpack")


class BackupCase(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-backup-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        self.random = harness.seeded_random()
        self.backup_at = os.path.join(self.work, "backup")

    def at(self, *names):
        return os.path.join(self.work, *names)

    def backup(self, target=None, expect=0):
        done = dedupfs("backup-metadata", "--json", target or self.fs.store, self.backup_at,
                       expect=expect)
        return json.loads(done.stdout)

    def restore(self, *options, expect=0, backup=None):
        done = dedupfs("restore", "--json", *options, self.fs.store, backup or self.backup_at,
                       expect=expect)
        return json.loads(done.stdout)

    def lose_database(self):
        shutil.rmtree(os.path.join(self.fs.store, "db"))

    def check(self, expect=0):
        done = dedupfs("check", "--json", self.fs.store, expect=expect)
        return json.loads(done.stdout)

    def write(self, name, data):
        with open(self.fs.join(name), "wb") as file:
            file.write(data)
        return data

    def read(self, name):
        with open(self.fs.join(name), "rb") as file:
            return file.read()

    def packs(self, directory="packs"):
        return sorted(os.path.basename(path)
                      for path in glob.glob(os.path.join(self.fs.store, directory, "*.pack")))


class Drill(BackupCase):
    def make_tree(self):
        tree = self.at("tree")
        os.mkdir(tree)
        real_tree.make_odd_names(os.path.join(tree, "names"))
        real_tree.make_attributes(os.path.join(tree, "attributes"), self.random)
        for number in range(200):
            with open(os.path.join(tree, f"file{number}"), "wb") as file:
                file.write(self.random.randbytes(self.random.randrange(100_000)))
        subprocess.run(["cp", "-a", tree, self.fs.join("tree")], check=True)
        return tree

    def drill(self, online, *restore_options):
        self.fs.mount()
        tree = self.make_tree()
        if not online:
            self.fs.umount()
        report = self.backup(self.fs.path if online else self.fs.store)
        self.assertGreater(report["rows"], 200)
        self.assertFalse(os.path.exists(self.backup_at + ".partial"))
        if not online:
            self.fs.mount()
        newer = self.write("newer", self.random.randbytes(3 << 20))
        shutil.rmtree(self.fs.join("tree/attributes"))
        self.fs.umount()
        before = self.packs()
        self.lose_database()

        report = self.restore(*restore_options)
        self.assertEqual(report["missing_chunks"], 0)
        self.assertGreater(report["unknown_chunks"], 0)
        said = self.check()  # nothing is damaged, and the newer content is named
        self.assertEqual(len(said["problem_list"]), report["packs_set_aside"])
        for line in said["problem_list"]:
            self.assertRegex(line, r"packs-after-backup/\w+\.pack: \d+ chunks \(\d+ bytes\)")
        self.fs.mount()
        harness.compare_trees(tree, self.fs.join("tree"))
        self.assertEqual(os.listdir(self.fs.path), ["tree"])
        inode = os.stat(self.write_and_name("after", b"x" * 100_000)).st_ino
        self.assertGreater(inode, 1 << 32, "no inode number is given again")
        self.fs.umount()
        self.check()
        for name in set(self.packs()) - set(before):
            self.assertGreater(int(name.split(".")[0], 16), int(max(before).split(".")[0], 16))

        # The newer content is not lost: the packs that hold it were kept aside.
        out = self.at("unpacked")
        aside = os.path.join(self.fs.store, "packs-after-backup")
        subprocess.run([UNPACK, "extract", out] +
                       [os.path.join(aside, name) for name in self.packs("packs-after-backup")],
                       check=True, capture_output=True)
        kept = 0
        for name in os.listdir(out):
            with open(os.path.join(out, name), "rb") as file:
                content = file.read()
            kept += len(content) if content in newer else 0
        self.assertGreaterEqual(kept, len(newer))

    def write_and_name(self, name, data):
        self.write(name, data)
        return self.fs.join(name)

    def test_online_backup_restored_from_the_checkpoint(self):
        self.drill(True)

    def test_offline_backup_restored_from_the_dump(self):
        self.drill(False, "--from-dump")

    def test_the_newer_content_written_again_is_known_and_check_says_so(self):
        self.fs.mount()
        self.write("old", self.random.randbytes(100_000))
        self.backup()
        newer = self.write("newer", self.random.randbytes(500_000))
        self.fs.umount()
        self.lose_database()
        self.restore()
        self.fs.mount()
        self.write("newer", newer)
        self.fs.umount()
        self.assertIn("it can be removed", self.check()["problem_list"][0])

    def test_a_damaged_database_and_a_lost_format_file(self):
        self.fs.mount()
        data = self.write("file", self.random.randbytes(300_000))
        self.backup()
        self.fs.umount()
        tables = glob.glob(os.path.join(self.fs.store, "db", "*.sst"))
        self.assertTrue(tables)
        for path in tables:  # in place, so that a backup that shares its files is lost with it
            with open(path, "r+b") as file:
                file.truncate(10)
        os.unlink(os.path.join(self.fs.store, "format"))
        report = self.restore()
        self.assertTrue(os.path.exists(os.path.join(report["old_database"], "CURRENT")),
                        "the old database is moved aside, never deleted")
        self.check()
        self.fs.mount()
        self.assertEqual(self.read("file"), data)


class ChunksThatMovedOrWent(BackupCase):
    def pack_of_its_own(self, name, data):
        self.fs.mount()
        self.write(name, data)
        self.fs.umount()  # seals the pack

    def test_chunks_that_were_rewritten_since_are_found_in_their_new_packs(self):
        text = " ".join(f"{number} bottles" for number in range(200_000)).encode()
        self.pack_of_its_own("text", text)
        self.fs.mount()
        self.backup()
        old = self.packs()
        dedupfs("recompress", self.fs.store)
        dedupfs("reclaim", self.fs.store)
        self.fs.umount()
        self.assertNotIn(old[0], self.packs(), "the pack that the backup names is gone")
        self.lose_database()
        report = self.restore()
        self.assertGreater(report["moved_chunks"], 0)
        self.assertEqual((report["missing_chunks"], report["unknown_chunks"]), (0, 0))
        self.assertEqual(self.check()["problem_list"], [])
        self.fs.mount()
        self.assertEqual(self.read("text"), text)

    def test_content_that_was_deleted_and_written_again_since_is_kept(self):
        data = self.random.randbytes(400_000)
        self.fs.mount()
        self.write("before", data)
        self.fs.umount()
        self.fs.mount()
        self.backup()
        os.unlink(self.fs.join("before"))
        dedupfs("reclaim", self.fs.store)
        self.write("again", data)
        self.fs.umount()
        self.lose_database()
        self.restore()
        self.assertNotIn("can be removed", "\n".join(self.check(expect=8)["problem_list"]))
        self.fs.mount()  # removes packs that no row names
        self.fs.umount()
        self.assertGreaterEqual(len(self.packs("packs-after-backup")), 1)

    def test_a_newer_pack_that_cannot_be_listed_is_kept_and_named(self):
        self.fs.mount()
        self.write("before", self.random.randbytes(400_000))
        self.backup()
        self.fs.umount()
        known = self.packs()
        self.pack_of_its_own("newer", self.random.randbytes(400_000))
        newer = sorted(set(self.packs()) - set(known))
        self.assertEqual(len(newer), 1)
        path = os.path.join(self.fs.store, "packs", newer[0])
        with open(path, "r+b") as pack:
            pack.write(bytes(os.path.getsize(path)))
        self.lose_database()
        self.restore()
        said = "\n".join(self.check()["problem_list"])
        self.assertRegex(said, f"packs-after-backup/{newer[0]}: damaged, and kept")
        self.fs.mount()
        self.fs.umount()
        self.assertEqual(self.packs("packs-after-backup"), newer)

    def test_chunks_that_were_reclaimed_since_are_damage_and_never_wrong_bytes(self):
        gone = self.random.randbytes(400_000)
        kept = self.random.randbytes(400_000)
        self.fs.mount()
        self.write("gone", gone)
        unread = self.write("unread", self.random.randbytes(400_000))
        self.fs.umount()
        self.pack_of_its_own("kept", kept)
        self.fs.mount()
        self.backup()
        os.unlink(self.fs.join("gone"))
        os.unlink(self.fs.join("unread"))
        dedupfs("reclaim", self.fs.store)
        self.write("other", self.random.randbytes(400_000))
        self.fs.umount()
        self.lose_database()
        report = self.restore("--from-dump")
        self.assertGreater(report["missing_chunks"], 0)
        said = "\n".join(self.check(expect=8)["problem_list"])
        self.assertIn("/gone: uses damaged chunk", said)
        self.assertNotIn("/kept", said)
        self.fs.mount()
        with self.assertRaises(OSError) as caught:
            self.read("gone")
        self.assertEqual(caught.exception.errno, errno.EIO)
        self.assertEqual(self.read("kept"), kept)
        # A new file of the same content is not made of what is gone, and heals the old one; also
        # where no read has found the damage yet.
        self.write("again", gone)
        self.write("unread-again", unread)
        self.fs.remount()
        for name, data in (("again", gone), ("gone", gone), ("unread-again", unread),
                           ("unread", unread)):
            self.assertEqual(self.read(name), data, name)
        self.fs.umount()
        self.check()


class Refusals(BackupCase):
    def setUp(self):
        super().setUp()
        self.fs.mount()
        for number in range(50):
            self.write(f"file{number}", self.random.randbytes(20_000))
        self.backup()

    def store_names(self):
        return sorted(os.listdir(self.fs.store))

    def test_changed_and_truncated_dumps_are_refused_and_change_nothing(self):
        self.fs.umount()
        self.lose_database()
        names = self.store_names()
        path = os.path.join(self.backup_at, "metadata.dump")
        with open(path, "rb") as file:
            good = file.read()
        bad = [good[:size] for size in (0, 10, len(good) - 1,
                                        *(self.random.randrange(len(good)) for _ in range(2)))]
        for _ in range(5):
            place = self.random.randrange(len(good) * 8)
            flipped = bytearray(good)
            flipped[place // 8] ^= 1 << place % 8
            bad.append(bytes(flipped))
        bad.append(good + b"\0")
        for dump in bad:
            with open(path, "wb") as file:
                file.write(dump)
            done = dedupfs("restore", "--from-dump", self.fs.store, self.backup_at, expect=None)
            self.assertIn(done.returncode, (1, 5), done.stdout)
            self.assertRegex(done.stderr, "dump|format|another store")
            self.assertEqual([name for name in self.store_names() if name != "db.restoring"], names)
        with open(path, "wb") as file:
            file.write(good)
        self.restore("--from-dump")
        self.assertNotIn("db.restoring", self.store_names())
        self.check()

    def test_a_damaged_checkpoint_is_refused_and_the_dump_still_works(self):
        self.fs.umount()
        self.lose_database()
        tables = glob.glob(os.path.join(self.backup_at, "checkpoint", "*.sst"))
        largest = max(tables, key=os.path.getsize)
        with open(largest, "r+b") as file:
            file.seek(os.path.getsize(largest) // 3)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 4]))
        done = dedupfs("restore", self.fs.store, self.backup_at, expect=1)
        self.assertIn("--from-dump", done.stderr)
        self.assertNotIn("db", self.store_names())
        self.restore("--from-dump")
        self.check()

    def test_a_database_that_can_be_read_is_kept_unless_forced(self):
        self.write("newer", b"newer")
        self.assertEqual(self.restore(expect=4)["error"]["code"], "EBUSY")
        self.fs.umount()
        error = self.restore(expect=1)["error"]
        self.assertIn("--force", error["message"])
        self.fs.mount()
        self.assertEqual(self.read("newer"), b"newer")
        self.fs.umount()
        self.restore("--force")
        self.fs.mount()
        self.assertEqual(len(os.listdir(self.fs.path)), 50)

    def test_a_backup_of_another_store_is_refused(self):
        self.fs.umount()
        other = self.at("other")
        dedupfs("format", other)
        for options in ((), ("--from-dump",)):
            done = dedupfs("restore", "--force", *options, other, self.backup_at, expect=1)
            self.assertIn("another store", done.stderr)
        dedupfs("check", other)

    def test_an_existing_target_is_left_alone(self):
        before = sorted(os.listdir(self.backup_at))
        self.assertEqual(self.backup(expect=1)["error"]["code"], "EEXIST")
        self.assertEqual(sorted(os.listdir(self.backup_at)), before)
        dedupfs("backup-metadata", self.at("nothing"), self.at("new"), expect=3)
        self.assertFalse(os.path.exists(self.at("new")))

    def test_a_read_only_mount_says_so(self):
        self.fs.umount()
        self.fs.mount("ro")
        self.backup_at = self.at("new")
        self.assertEqual(self.backup(expect=1)["error"]["code"], "EROFS")
        self.assertFalse(glob.glob(self.backup_at + "*"))

    def test_a_killed_backup_leaves_nothing_under_its_name(self):
        left = 0
        for number in range(5):
            target = self.at(f"killed{number}")
            child = subprocess.Popen([harness.BINARY, "backup-metadata", self.fs.store, target],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while child.poll() is None and not os.path.exists(target + ".partial"):
                pass
            for _ in range(self.random.randrange(20_000)):  # an instant after that
                pass
            child.send_signal(signal.SIGKILL)
            child.wait()
            if os.path.exists(target):  # it was done already, so it is whole
                self.assertEqual(sorted(os.listdir(target)),
                                 ["checkpoint", "format", "metadata.dump"])
            else:
                left += 1
                done = dedupfs("backup-metadata", self.fs.store, target, expect=None)
                if done.returncode != 0:
                    self.assertIn("did not end", done.stderr)
        self.assertGreater(left, 0, "none was killed in the middle")
        # The daemon has not taken harm.
        self.write("after", b"after")
        self.fs.umount()
        self.check()


if __name__ == "__main__":
    harness.run_cases()
