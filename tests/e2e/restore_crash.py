#!/usr/bin/env python3
"""`restore` that is killed at each of its renames, and one of a store whose `format` cannot be read."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import dedupfs

FAILING_DISK = os.environ.get("DEDUPFS_FAILING_DISK", "")


class RestoreCase(unittest.TestCase):
    """A store with `old`, which the backup knows, and `newer`, which it does not."""

    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-restore-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        random = harness.seeded_random()
        self.backup = os.path.join(self.work, "backup")
        self.contents = {name: random.randbytes(300_000) for name in ("old", "newer")}
        self.fs.mount()
        self.write("old")
        dedupfs("backup-metadata", self.fs.path, self.backup)
        self.write("newer")
        self.fs.umount()

    def write(self, name):
        with open(self.fs.join(name), "wb") as file:
            file.write(self.contents[name])

    def seen(self):
        """What a mount shows: names, each with its content right."""
        self.fs.mount()
        names = sorted(os.listdir(self.fs.path))
        for name in names:
            with open(self.fs.join(name), "rb") as file:
                self.assertEqual(file.read(), self.contents[name], name)
        self.fs.umount()
        return names

    def names(self):
        return sorted(set(os.listdir(self.fs.store)) - {"dedupfs.log"})


class KilledRestore(RestoreCase):
    def restore_killed_at(self, rename):
        """False once there is no such rename."""
        environment = dict(os.environ, LD_PRELOAD=FAILING_DISK, DEDUPFS_FAIL_STORE=self.fs.store,
                           DEDUPFS_KILL_RENAME=str(rename),
                           ASAN_OPTIONS="verify_asan_link_order=0")
        done = subprocess.run([harness.BINARY, "restore", "--force", self.fs.store, self.backup],
                              env=environment, capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, (0, -signal.SIGKILL), done.stderr)
        return done.returncode != 0

    def start_again(self, kept):
        shutil.rmtree(self.fs.store)
        shutil.copytree(kept, self.fs.store, symlinks=True)

    def test_a_kill_at_each_rename_leaves_the_old_database_or_the_new_one(self):
        kept = os.path.join(self.work, "kept")
        shutil.copytree(self.fs.store, kept, symlinks=True)
        rename = 0
        between = 0
        while True:
            rename += 1
            self.start_again(kept)
            if not self.restore_killed_at(rename):
                break
            names = self.names()
            databases = [name for name in ("db", "db.before-restore")
                         if os.path.exists(os.path.join(self.fs.store, name, "CURRENT"))]
            self.assertTrue(databases, names)
            if "db" in names:
                self.assertEqual(self.seen(), ["newer", "old"], f"rename {rename}")
                continue
            between += 1
            # Nothing takes the store for an empty one, and the restore can be made again.
            before = self.names()
            done = dedupfs("mount", self.fs.store, self.fs.path, expect=None)
            self.assertNotEqual(done.returncode, 0, "a store without a database was mounted")
            dedupfs("check", self.fs.store, expect=None)
            self.assertEqual(self.names(), before)
            dedupfs("restore", self.fs.store, self.backup)
            self.assertEqual(self.seen(), ["old"])
            # The database of before was not touched: with it all is there.
            shutil.rmtree(os.path.join(self.fs.store, "db"))
            os.rename(os.path.join(self.fs.store, "db.before-restore"),
                      os.path.join(self.fs.store, "db"))
            for name in os.listdir(os.path.join(self.fs.store, "packs-after-backup")):
                path = os.path.join(self.fs.store, "packs", name)
                if not os.path.exists(path):
                    os.link(os.path.join(self.fs.store, "packs-after-backup", name), path)
            self.assertEqual(self.seen(), ["newer", "old"])
        self.assertGreaterEqual(between, 1, "no kill was between the two renames")
        print(f"{rename - 1} renames, {between} of them leave no database in place")
        self.assertEqual(self.seen(), ["old"])


class UnreadableFormat(RestoreCase):
    def restore(self, expect=0):
        shutil.rmtree(os.path.join(self.fs.store, "db"))
        done = dedupfs("restore", "--json", self.fs.store, self.backup, expect=expect)
        return json.loads(done.stdout)

    def format_path(self, suffix=""):
        return os.path.join(self.fs.store, "format" + suffix)

    def damage_format(self, data):
        with open(self.format_path(), "wb") as file:
            file.write(data)

    def expect_taken_from_the_backup(self):
        dedupfs("mount", self.fs.store, self.fs.path, expect=None)  # refused, whatever it says
        self.assertFalse(self.fs.is_mounted())
        self.restore()
        self.assertTrue(os.path.lexists(self.format_path(".before-restore")),
                        "what could not be read is kept")
        with open(self.format_path(), "rb") as file, \
                open(os.path.join(self.backup, "format"), "rb") as good:
            self.assertEqual(file.read(), good.read())
        self.assertEqual(self.seen(), ["old"])

    def test_one_that_is_cut_is_taken_from_the_backup(self):
        with open(self.format_path(), "rb") as file:
            self.damage_format(file.read()[:-20])
        self.expect_taken_from_the_backup()

    def test_one_of_zeros_is_taken_from_the_backup(self):
        self.damage_format(bytes(os.path.getsize(self.format_path())))
        self.expect_taken_from_the_backup()

    def test_one_that_cannot_be_read_at_all_is_taken_from_the_backup(self):
        os.unlink(self.format_path())
        os.mkdir(self.format_path())  # reads of it are errors
        self.expect_taken_from_the_backup()


class OnlyTheFormatIsLost(RestoreCase):
    """The database is whole, so nothing that came after the backup may go."""

    def setUp(self):
        super().setUp()
        self.format_path = os.path.join(self.fs.store, "format")
        with open(self.format_path, "rb") as file:
            self.format = file.read()

    def restore(self, expect=0, backup=None):
        return dedupfs("restore", "--json", self.fs.store, backup or self.backup, expect=expect)

    def expect_only_the_format_restored(self):
        self.assertTrue(json.loads(self.restore().stdout)["only_format"])
        with open(self.format_path, "rb") as file:
            self.assertEqual(file.read(), self.format)
        self.assertNotIn("db.before-restore", self.names())
        self.fs.check()
        self.assertEqual(self.seen(), ["newer", "old"])

    def test_one_that_is_missing_is_named_and_comes_back_alone(self):
        os.unlink(self.format_path)
        before = self.names()
        for command in (("mount", self.fs.store, self.fs.path), ("check", self.fs.store),
                        ("export", self.fs.store, os.path.join(self.work, "out"))):
            said = dedupfs(*command, expect=3).stderr
            self.assertIn(self.format_path + " is missing", said)
            self.assertIn("dedupfs restore " + self.fs.store, said)
            self.assertNotIn("dedupfs format", said)
        self.assertEqual(self.names(), before)
        self.expect_only_the_format_restored()

    def test_one_that_is_damaged_is_kept_beside_and_comes_back_alone(self):
        with open(self.format_path, "wb") as file:
            file.write(self.format[:40])
        self.expect_only_the_format_restored()
        with open(self.format_path + ".before-restore", "rb") as file:
            self.assertEqual(file.read(), self.format[:40])

    def test_that_of_another_store_is_refused_and_changes_nothing(self):
        other = harness.Mount(os.path.join(self.work, "other"))
        with other:
            backup = os.path.join(self.work, "other-backup")
            dedupfs("backup-metadata", other.store, backup)
            for lose in (lambda: open(self.format_path, "wb").close(),
                         lambda: os.unlink(self.format_path)):
                lose()
                before = self.names()
                said = self.restore(expect=1, backup=backup).stdout
                self.assertIn("another store", said)
                self.assertEqual(self.names(), before)
        self.expect_only_the_format_restored()


if __name__ == "__main__":
    harness.run_cases()
