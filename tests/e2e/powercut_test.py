#!/usr/bin/env python3
"""`dedupfs selftest --powercut`: the store survives, a daemon that does not sync is found out, and
nothing is left behind on any way out.

FILESYSTEM (ext4) and CUTS (4) of the run that has to survive; with ONLY_SURVIVE nothing else runs.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import harness

FILESYSTEM = os.environ.get("FILESYSTEM", "ext4")
CUTS = os.environ.get("CUTS", "4")
NO_SYNC = os.environ.get("DEDUPFS_NO_SYNC", "")
# Without syncs a cut loses nothing only where hardly anything was acknowledged.
CUTS_WITHOUT_SYNC = "30"
MISSING = re.compile(r"selftest: needs ([\w.+-]+): (.*)")


def selftest(directory, *options, preload=None, expect=0):
    environment = dict(os.environ)
    if preload:
        environment["LD_PRELOAD"] = preload
        environment["ASAN_OPTIONS"] = "verify_asan_link_order=0"
    done = subprocess.run([harness.BINARY, "selftest", "--powercut", directory, *options],
                          capture_output=True, text=True, check=False, env=environment)
    print(done.stdout + done.stderr, flush=True)
    assert done.returncode == expect, f"exit {done.returncode}, not {expect}"
    return done


def skip_where_something_is_missing():
    with tempfile.TemporaryDirectory(prefix="dedupfs-cut-") as directory:
        done = subprocess.run([harness.BINARY, "selftest", "--powercut", directory, "--cuts", "1",
                               "--filesystem", FILESYSTEM], capture_output=True, text=True,
                              check=False)
    missing = MISSING.search(done.stderr)
    if missing:
        print(f"SKIPPED: needs {missing.group(1)}: {missing.group(2)}")
        sys.exit(0)


def loop_images():
    """What the machine's loop devices show."""
    listed = subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"],
                            capture_output=True, text=True, check=True)
    return listed.stdout


class PowerCutCase(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="dedupfs-cut-")
        self.addCleanup(directory.cleanup)
        self.directory = os.path.realpath(directory.name)

    def assert_nothing_is_left(self):
        self.assertEqual(os.listdir(self.directory), [])
        self.assertNotIn(self.directory, loop_images())
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            self.assertNotIn(self.directory, mounts.read())


class Survival(PowerCutCase):
    def test_what_was_acknowledged_survives_every_cut(self):
        seed = os.environ.get("DEDUPFS_TEST_SEED")
        done = selftest(self.directory, "--cuts", CUTS, "--filesystem", FILESYSTEM,
                        *(["--seed", seed] if seed else []))
        self.assertRegex(done.stdout, rf"{CUTS} of {CUTS} cuts survived, nothing acknowledged lost")
        self.assert_nothing_is_left()


class Faults(PowerCutCase):
    def test_a_daemon_that_does_not_sync_is_found_out(self):
        done = selftest(self.directory, "--cuts", CUTS_WITHOUT_SYNC, "--filesystem", FILESYSTEM,
                        preload=NO_SYNC, expect=8)
        self.assertIn("PROMISES WERE BROKEN", done.stdout)
        self.assert_nothing_is_left()

    def test_json_tells_what_was_broken_and_the_image_can_be_kept(self):
        done = selftest(self.directory, "--cuts", CUTS_WITHOUT_SYNC, "--filesystem", FILESYSTEM,
                        "--json", "--keep", "--seed", "7", preload=NO_SYNC, expect=8)
        result = json.loads(done.stdout)
        self.assertEqual((result["seed"], result["filesystem"]), (7, FILESYSTEM))
        self.assertTrue(result["faults"])
        self.assertLess(result["survived"], int(CUTS_WITHOUT_SYNC))
        kept = os.listdir(self.directory)
        self.assertEqual(len(kept), 1)
        self.assertTrue(os.path.getsize(os.path.join(self.directory, kept[0], "image")))
        self.assertNotIn(self.directory, loop_images())


class WaysOut(PowerCutCase):
    def interrupt(self, number):
        run = subprocess.Popen([harness.BINARY, "selftest", "--powercut", self.directory, "--cuts",
                                "100000", "--filesystem", FILESYSTEM], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
        with run:
            self.assertIn("cut 1 of", run.stdout.readline())
            run.send_signal(number)
            _, said = run.communicate()
        return run.returncode, said

    def test_an_interrupt_cleans_up(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                status, said = self.interrupt(number)
                self.assertEqual(status, 1)
                self.assertRegex(said, r"interrupted after \d+ cuts")
                self.assert_nothing_is_left()

    def test_what_is_missing_is_named(self):
        done = selftest(os.path.join(self.directory, "missing"), expect=1)
        self.assertIn("missing", done.stderr)
        environment = dict(os.environ, PATH="/nonexistent")
        done = subprocess.run([harness.BINARY, "selftest", "--powercut", self.directory],
                              capture_output=True, text=True, check=False, env=environment)
        self.assertEqual(done.returncode, 1)
        self.assertIn("needs mkfs.ext4", done.stderr)
        self.assert_nothing_is_left()

    def test_root_is_asked_for(self):
        def become_nobody():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        binary = harness.binary_for_anyone(self.directory)
        self.addCleanup(os.unlink, binary)
        done = subprocess.run([binary, "selftest", "--powercut", "/tmp"],
                              capture_output=True, text=True, check=False,
                              preexec_fn=become_nobody)
        self.assertEqual(done.returncode, 1)
        self.assertIn("needs root", done.stderr)


if __name__ == "__main__":
    skip_where_something_is_missing()
    only = ["Survival"] if os.environ.get("ONLY_SURVIVE") else None
    unittest.main(verbosity=2, defaultTest=only)
