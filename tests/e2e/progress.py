#!/usr/bin/env python3
"""Every command that may take long shows how far it is: a bar on a terminal, of which nothing stays."""

import os
import pty
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import harness

BAR = r"\[[# ]{30}\] \d+ %, .* of "


class Shown(unittest.TestCase):
    def setUp(self):
        self.work = os.path.realpath(tempfile.mkdtemp(prefix="dedupfs-progress-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.fs = harness.Mount(self.work)
        self.fs.__enter__()
        self.addCleanup(self.fs.__exit__, None, None, None)
        random = harness.seeded_random()
        self.fs.mount()
        for number in range(20):
            with open(self.fs.join(f"text{number}"), "w", encoding="ascii") as file:
                file.writelines(f"line {random.randrange(5000)}\n" for _ in range(20_000))
        self.fs.umount()

    def at(self, name):
        return os.path.join(self.work, name)

    def on_terminal(self, *arguments):
        """What the command writes to a terminal that is its standard error."""
        master, slave = pty.openpty()
        pieces = []

        def read():
            while True:
                try:
                    piece = os.read(master, 65536)
                except OSError:  # EIO: nobody has the other side any more
                    return
                if not piece:
                    return
                pieces.append(piece)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            done = subprocess.run([harness.BINARY, *arguments], stdout=subprocess.PIPE,
                                  stderr=slave, timeout=harness.TIMEOUT_S, check=False)
        finally:
            os.close(slave)
            reader.join()
            os.close(master)
        shown = b"".join(pieces).decode()
        self.assertEqual(done.returncode, 0, shown + done.stdout.decode())
        return shown

    def expect_shown(self, *arguments, what, bar=True):
        # A store that is opened for it has its log on standard error, too.
        shown = re.sub(r"\d{4}-\d\d-\d\dT[^\n]*\n", "", self.on_terminal(*arguments))
        for name in what:
            self.assertRegex(shown, r"\r\x1b\[K" + name + ": " + (BAR if bar else ""))
        self.assertTrue(shown.endswith("\r\x1b[K"), repr(shown))
        return shown

    def test_check_scrub_and_repair(self):
        self.expect_shown("check", self.fs.store, what=["check"])
        self.expect_shown("scrub", self.fs.store, what=["scrub"])
        self.expect_shown("check", "--repair", self.fs.store, what=[".*"], bar=False)

    def test_export(self):
        self.expect_shown("export", self.fs.store, self.at("out"), what=["export"])

    def test_backup_and_restore(self):
        self.expect_shown("backup-metadata", self.fs.store, self.at("backup"),
                          what=["database files"])
        self.expect_shown("restore", "--force", self.fs.store, self.at("backup"),
                          what=["restore", "packs"])
        self.expect_shown("restore", "--force", "--from-dump", self.fs.store, self.at("backup"),
                          what=["restore", "packs"])

    def test_recompress_and_reclaim_of_a_store_and_of_a_mount(self):
        # How far they come before the first look is chance; that they begin is not.
        self.expect_shown("recompress", self.fs.store, what=["recompress"], bar=False)
        self.expect_shown("reclaim", self.fs.store, what=["reclaim"], bar=False)
        self.fs.mount()
        self.expect_shown("recompress", self.fs.path, what=["recompress"], bar=False)
        self.expect_shown("reclaim", self.fs.path, what=["reclaim"], bar=False)

    def test_copies_of_a_store_and_of_a_mount(self):
        with open(os.path.join(self.fs.store, "dedupfs.toml"), "a", encoding="utf-8") as file:
            file.write("extra_copy_references = 1\n")
        self.expect_shown("copies", self.fs.store, what=["copies"], bar=False)
        self.expect_shown("copies", "--drop", self.fs.store, what=["copies"], bar=False)
        self.fs.mount()
        self.expect_shown("copies", self.fs.path, what=["copies"], bar=False)
        self.expect_shown("copies", "--drop", self.fs.path, what=["copies"], bar=False)

    def kill_with_a_log(self):
        """Leaves a store whose next mount has a log to replay."""
        self.fs.mount_as_child()
        for number in range(50):
            with open(self.fs.join(f"synced{number}"), "wb", buffering=0) as file:
                file.write(bytes([number]) * 30_000)
                os.fsync(file.fileno())
        self.fs.kill()
        harness.dedupfs("umount", self.fs.path)

    def test_mount_shows_how_far_the_replay_of_the_log_is(self):
        self.kill_with_a_log()
        shown = self.expect_shown("mount", self.fs.store, self.fs.path, what=["replay of the log"])
        totals = re.findall(r"of (\d+\.\d) MiB", shown)
        self.assertTrue(totals and float(totals[0]) >= 1.4, shown)
        with open(self.fs.join("synced49"), "rb") as file:
            self.assertEqual(file.read(), bytes([49]) * 30_000)

    def test_a_mount_that_is_no_terminal_says_nothing_of_a_short_replay(self):
        self.kill_with_a_log()
        done = harness.dedupfs("mount", self.fs.store, self.fs.path)
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    harness.run_cases()
