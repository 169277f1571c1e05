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


if __name__ == "__main__":
    harness.run_cases()
