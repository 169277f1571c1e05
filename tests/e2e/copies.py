#!/usr/bin/env python3
"""Extra copies of chunks that many files use: damage under a mount is read over, and healed."""

import errno
import json
import os
import shutil
import tempfile
import unittest

import harness
from harness import dedupfs

NAMES = [f"file{number}" for number in range(4)]  # one more than the setting below


class Copies(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-copies-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        self.set_references(3)
        self.data = harness.seeded_random().randbytes(300_000)

    def set_references(self, count):
        with open(os.path.join(self.fs.store, "dedupfs.toml"), "w", encoding="utf-8") as file:
            file.write(f"extra_copy_references = {count}\n"
                       "recompress_after_quiet_ms = 3600000\n")  # only what is asked for

    def read(self, name):
        with open(self.fs.join(name), "rb") as file:
            return file.read()

    def write_all(self):
        for name in NAMES:
            with open(self.fs.join(name), "wb") as file:
                file.write(self.data)
        self.fs.sync()

    def make_copies(self):
        self.fs.mount()
        self.write_all()
        said = dedupfs("copies", self.fs.path).stdout
        self.assertRegex(said, r"^made \d+ extra cop(y|ies): ")
        self.assertEqual(self.fs.stats()["copy_stored_bytes"], len(self.data))
        self.fs.umount()

    def flip(self, offset):
        """In the first record; harness.Mount.packs() does not look at the copies."""
        self.fs.flip(self.data, offset)

    def log(self):
        with open(os.path.join(self.fs.store, "dedupfs.log"), encoding="utf-8") as file:
            return file.read()

    def status(self):
        return json.loads(dedupfs("status", "--json", self.fs.store).stdout)

    def test_a_read_gives_the_right_bytes_and_heals(self):
        self.make_copies()
        self.flip(200_000)
        self.fs.mount()
        for name in NAMES:
            self.assertEqual(self.read(name), self.data)
        status = self.status()
        self.assertEqual((status["damaged_chunks"], status["healed_chunks"]), (0, 1))
        self.assertIn("healed since it was opened: 1 chunk", dedupfs("status", self.fs.path).stdout)
        self.fs.umount()
        self.assertIn("chunk_read_from_copy", self.log())
        self.assertRegex(self.log(), r"chunk_healed chunk=\d+")
        self.fs.check()

    def test_a_scrub_heals_and_says_so(self):
        self.make_copies()
        self.flip(100_000)
        self.fs.mount()
        said = dedupfs("scrub", self.fs.path).stdout
        self.assertIn("no damage is left; 1 damaged chunk healed by extra copies", said)
        self.assertIn("no damage\n", dedupfs("scrub", self.fs.path).stdout)
        self.assertEqual(self.read(NAMES[0]), self.data)
        self.fs.umount()
        self.fs.check()

    def test_all_packs_are_lost_and_everything_is_read(self):
        self.make_copies()
        for path in self.fs.packs():
            os.unlink(path)
        self.fs.mount()
        self.assertEqual(self.read(NAMES[1]), self.data)
        self.fs.umount()
        self.fs.check()

    def test_check_says_what_a_copy_heals_and_repair_does_not_call_it_lost(self):
        self.make_copies()
        self.flip(100_000)
        said = dedupfs("check", self.fs.store, expect=None).stdout
        self.assertIn("its extra copy is whole", said)
        dedupfs("check", "--repair", "--yes", self.fs.store, expect=None)
        said = dedupfs("check", "--repair", self.fs.store, expect=None).stdout
        self.assertNotIn(NAMES[0], said)
        self.fs.mount()
        self.assertEqual(self.read(NAMES[2]), self.data)
        self.assertEqual(self.status()["damaged_chunks"], 0)
        self.fs.umount()
        self.fs.check()

    def test_switched_off_and_dropped_they_are_gone(self):
        self.make_copies()
        self.set_references(0)
        self.fs.mount()
        refused = dedupfs("copies", self.fs.path, expect=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("not switched on", refused.stderr)
        self.assertRegex(dedupfs("copies", "--drop", self.fs.path).stdout, r"^forgot \d+ extra cop")
        self.assertEqual(os.listdir(os.path.join(self.fs.store, "copies")), [])
        self.fs.umount()
        self.flip(200_000)
        self.fs.mount()
        with self.assertRaises(OSError) as caught:
            self.read(NAMES[0])
        self.assertEqual(caught.exception.errno, errno.EIO)

    def test_they_go_with_the_files(self):
        self.make_copies()
        self.fs.mount()
        for name in NAMES:
            os.unlink(self.fs.join(name))
        dedupfs("reclaim", self.fs.path)
        self.assertEqual(self.fs.stats()["copy_chunks"], 0)
        self.assertEqual(os.listdir(os.path.join(self.fs.store, "copies")), [])
        self.fs.umount()
        self.fs.check()


if __name__ == "__main__":
    harness.run_cases()
