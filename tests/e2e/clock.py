#!/usr/bin/env python3
"""A clock of the day that jumps while a store is mounted: by years forward, and back before the store
was made. Only times of files follow it."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

import harness
from harness import dedupfs

MOVING_CLOCK = os.environ.get("DEDUPFS_MOVING_CLOCK", "")
YEAR_S = 365 * 24 * 3600
DAY_S = 24 * 3600


class MovingClock(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-clock-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.offset = os.path.join(self.work, "offset")
        self.move(0)
        self.environment = dict(os.environ, LD_PRELOAD=MOVING_CLOCK,
                                DEDUPFS_CLOCK_OFFSET=self.offset,
                                ASAN_OPTIONS="verify_asan_link_order=0")
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        with open(os.path.join(self.fs.store, "dedupfs.toml"), "a", encoding="utf-8") as settings:
            # The jumps are of years; a busy machine may need minutes for a request.
            settings.write("commit_interval_ms = 50\nrequest_warn_ms = 36000000\n")
        self.random = harness.seeded_random()
        self.whole = {}
        self.mount()

    def move(self, seconds):
        if not os.path.exists(self.offset):
            with open(self.offset, "wb") as file:
                file.write(bytes(8))
        with open(self.offset, "r+b") as file:
            file.write(struct.pack("<q", int(seconds)))

    def mount(self):
        subprocess.run([harness.BINARY, "mount", "-o", "no_writeback_cache", self.fs.store, self.fs.path],
                       env=self.environment, check=True, capture_output=True,
                       timeout=harness.TIMEOUT_S)

    def write(self, name):
        data = self.random.randbytes(150_000)
        with open(self.fs.join(name), "wb") as file:
            file.write(data)
        self.whole[name] = data
        return self.fs.join(name)

    def until(self, what, holds):
        """Waits for the event itself: a clock that were used for durations would never bring it."""
        end = time.monotonic() + harness.TIMEOUT_S
        while not holds():
            self.assertLess(time.monotonic(), end, what)

    def use(self, name, offset):
        """Everything that has a timer does its work; returns the time of the new file."""
        path = self.write(name)
        # Nobody syncs: this is the flusher's interval.
        self.until("the flusher commits",
                   lambda: self.fs.stats()["dirty_bytes"] == 0)
        scrub = json.loads(dedupfs("scrub", "--json", "--restart", "--rate", "1000",
                                   self.fs.store).stdout)
        self.assertEqual((scrub["state"], scrub["damaged_chunks"]), ("finished", 0))
        dedupfs("reclaim", self.fs.store)
        dedupfs("recompress", self.fs.store)
        status = json.loads(dedupfs("status", "--json", self.fs.store).stdout)
        self.assertTrue(status["healthy"])
        for request in status["requests"]:
            self.assertLess(request["age_ms"], DAY_S * 1000)
        mtime = os.stat(path).st_mtime
        self.assertLess(abs(mtime - (time.time() + offset)), DAY_S, f"{name}: {mtime}")
        return mtime

    def log(self):
        with open(os.path.join(self.fs.store, "dedupfs.log"), encoding="utf-8") as log:
            return log.read()

    def test_jumps_forward_and_back_change_times_of_files_and_nothing_else(self):
        seen = {}
        for name, offset in (("now", 0), ("forward", 30 * YEAR_S), ("back", -20 * YEAR_S),
                             ("before-1970", -80 * YEAR_S), ("again", 0)):
            self.move(offset)
            seen[name] = self.use(name, offset)
        self.assertLess(seen["before-1970"], 0)
        self.assertNotIn("request_hangs", self.log())
        self.move(-5 * YEAR_S)  # before the store was made
        self.fs.umount()
        self.mount()
        for name, mtime in seen.items():
            self.assertEqual(os.stat(self.fs.join(name)).st_mtime, mtime, name)
        self.use("after", -5 * YEAR_S)
        for name, data in self.whole.items():
            with open(self.fs.join(name), "rb") as file:
                self.assertEqual(file.read(), data, name)
        self.fs.umount()
        self.fs.check()

    def test_what_nobody_syncs_survives_a_kill_once_the_interval_is_over(self):
        self.fs.umount()
        self.fs.mount_as_child(self.environment, ("-o", "no_writeback_cache"))
        # A flusher that took intervals from the clock of the day would wait for years after a jump
        # back, which comes between the write and what it has to do.
        for name, offset in (("back", -20 * YEAR_S), ("forward", 30 * YEAR_S), ("again", 0)):
            self.write(name)
            self.move(offset)
            os.mkdir(self.fs.join(name + "-directory"))  # the daemon gives the time of it
            made = os.stat(self.fs.join(name + "-directory")).st_mtime
            self.assertLess(abs(made - (time.time() + offset)), DAY_S)
            self.until("the flusher commits", lambda: self.fs.stats()["dirty_bytes"] == 0)
        self.fs.kill()
        dedupfs("umount", self.fs.path)
        self.fs.mount()
        for name, data in self.whole.items():
            with open(self.fs.join(name), "rb") as file:
                self.assertEqual(file.read(), data, name)


if __name__ == "__main__":
    harness.run_cases()
