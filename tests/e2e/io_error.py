#!/usr/bin/env python3
"""A disk that gives EIO below a mounted store: told, nothing acknowledged is lost, and one unmount and
mount clears it."""

import errno
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

import harness
from harness import dedupfs

FAILING_DISK = os.environ.get("DEDUPFS_FAILING_DISK", "")
READS, WRITES, SYNCS = 1, 2, 4


class FailingDisk(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-eio-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.control = os.path.join(self.work, "control")
        self.fail(0)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        self.random = harness.seeded_random()
        self.whole = {}
        self.mount()
        for number in range(5):
            self.write_synced(f"before{number}", 200_000)

    def fail(self, what):
        if not os.path.exists(self.control):
            with open(self.control, "wb") as file:
                file.write(bytes(8))
        with open(self.control, "r+b") as file:
            file.write(struct.pack("<I", what))

    def failed(self):
        with open(self.control, "rb") as file:
            return struct.unpack("<II", file.read(8))[1]

    def mount(self):
        environment = dict(os.environ, LD_PRELOAD=FAILING_DISK, DEDUPFS_FAIL_STORE=self.fs.store,
                           DEDUPFS_FAIL_CONTROL=self.control,
                           ASAN_OPTIONS="verify_asan_link_order=0")
        subprocess.run([harness.BINARY, "mount", self.fs.store, self.fs.path], env=environment,
                       check=True, capture_output=True, timeout=harness.TIMEOUT_S)

    def write_synced(self, name, size):
        data = self.random.randbytes(size)
        with open(self.fs.join(name), "wb", buffering=0) as file:
            file.write(data)
            os.fsync(file.fileno())
        self.whole[name] = data

    def status(self, expect=0):
        return json.loads(dedupfs("status", "--json", self.fs.store, expect=expect).stdout)

    def expect_whole(self):
        for name, data in self.whole.items():
            with open(self.fs.join(name), "rb") as file:
                self.assertEqual(file.read(), data, name)

    def expect_refused(self, number):
        with self.assertRaises(OSError) as caught:
            self.write_synced(f"refused{number}", 100_000)
        self.assertIn(caught.exception.errno, (errno.EIO, errno.EROFS))

    def expect_read_only_then_well(self, what):
        self.fail(what)
        self.expect_refused(0)
        self.assertGreater(self.failed(), 0, "no call of the daemon failed")
        self.fail(0)  # well again; what was written is still not to be trusted
        status = self.status(expect=1)
        self.assertFalse(status["healthy"])
        self.assertIn("Input/output error", status["failure"])
        self.expect_refused(1)
        self.expect_whole()
        dedupfs("umount", "--force", self.fs.path, expect=None)
        self.assertFalse(self.fs.is_mounted())
        self.mount()
        self.assertTrue(self.status()["healthy"])
        self.expect_whole()
        self.write_synced("after", 100_000)
        self.fs.umount()
        self.fs.check()
        self.mount()
        self.expect_whole()

    def test_syncs_that_fail_turn_the_store_read_only_until_it_is_mounted_again(self):
        self.expect_read_only_then_well(SYNCS)

    def test_writes_that_fail_do_the_same(self):
        self.expect_read_only_then_well(WRITES)

    def test_reads_that_fail_are_eio_and_pass_with_the_fault(self):
        self.fs.umount()
        self.mount()  # nothing is in a cache
        self.fail(READS)
        with self.assertRaises(OSError) as caught:
            self.expect_whole()
        self.assertEqual(caught.exception.errno, errno.EIO)
        self.assertGreater(self.failed(), 0)
        self.fail(0)
        self.expect_whole()
        self.fs.umount()
        self.mount()
        self.expect_whole()
        dedupfs("scrub", self.fs.store)
        self.assertEqual(self.status()["damaged_chunks"], 0)


if __name__ == "__main__":
    harness.run_cases()
