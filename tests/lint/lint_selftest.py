#!/usr/bin/env python3
"""The checks of this folder find what they are for."""

import functools
import os
import re
import unittest

import check_skips
import layers
import shape
import words


class Layers(unittest.TestCase):
    def test_an_upward_include_is_found(self):
        for path, included in [("chunkstore/a.cc", "fs/types.h"), ("fs/a.cc", "control/server.h"),
                               ("fs/a.cc", "fs/fuse/session.h"), ("control/a.cc", "tools/b.h"),
                               ("control/a.cc", "fs/fuse/session.h"),
                               ("chunkstore/base/a.cc", "chunkstore/packs/packs.h"),
                               ("thumbs/a.cc", "fs/types.h")]:
            self.assertIsNotNone(layers.check_line(path, f'#include "{included}"'), (path, included))

    def test_a_downward_include_is_allowed(self):
        for path, included in [("fs/a.cc", "chunkstore/base/error.h"), ("fs/fuse/a.cc", "fs/types.h"),
                               ("tools/dedupfs/a.cc", "fs/fuse/session.h"),
                               ("control/a.cc", "chunkstore/base/log.h")]:
            self.assertIsNone(layers.check_line(path, f'#include "{included}"'), (path, included))

    def test_a_third_party_header_out_of_its_room_is_found(self):
        self.assertIsNotNone(layers.check_line("fs/a.cc", "#include <fuse_lowlevel.h>"))
        self.assertIsNotNone(layers.check_line("chunkstore/a.cc", "#include <rocksdb/db.h>"))
        self.assertIsNone(layers.check_line("fs/fuse/a.cc", "#include <fuse_lowlevel.h>"))


class Words(unittest.TestCase):
    def count(self, path, line, root="/home/someone/checkout"):
        return len(list(words.faults_of(path, [line], root)))

    def test_markers_are_found(self):
        self.assertEqual(self.count("fs/a.cc", "// " + "TO" + "DO: later"), 1)
        self.assertEqual(self.count("fs/a.cc", "mastodons"), 0)

    def test_sleeps_are_found_in_tests_only(self):
        sleep = "time.sl" + "eep(1)"
        self.assertEqual(self.count("tests/e2e/a.py", sleep), 1)
        self.assertEqual(self.count("fs/a.cc", sleep), 0)
        self.assertEqual(self.count("tests/a.sh", "sl" + "eep 1"), 1)

    def test_the_path_of_the_checkout_is_found(self):
        self.assertEqual(self.count("a.md", "cd /home/someone/checkout/build"), 1)
        self.assertEqual(self.count("a.md", "cd /home/someone/checkout-2"), 0)


class Skips(unittest.TestCase):
    def faults(self, output, there=()):
        known = {thing: functools.partial(there.__contains__, thing)
                 for thing in check_skips.CAPABILITIES}
        return list(check_skips.faults_of("name", output, known))

    def test_a_skip_for_what_is_missing_is_allowed(self):
        for thing in ("nfs-cp", "stress-ng", "c++", "ganesha.nfsd", "namespaces", "root"):
            self.assertEqual(self.faults(f"SKIPPED: needs {thing}: why"), [])

    def test_a_skip_for_what_is_there_is_found(self):
        self.assertIn("which this machine has", self.faults("needs nfs-cp: why", ["nfs-cp"])[0])
        self.assertIn("which this machine has",
                      self.faults("needs namespaces: why", ["namespaces"])[0])

    def test_a_skip_that_nobody_can_judge_is_found(self):
        self.assertIn("does not know", self.faults("needs luck: why")[0])
        self.assertIn("without", self.faults("SKIPPED")[0])

    def test_each_program_is_looked_for_by_its_own_name(self):
        for program in check_skips.PROGRAMS:
            self.assertEqual(check_skips.CAPABILITIES[program](), check_skips.has_program(program))
        self.assertFalse(check_skips.has_program("no-such-program"))

    def test_every_thing_that_a_test_names_is_known(self):
        lint = os.path.dirname(os.path.realpath(__file__))
        named = re.compile(r'(?:harness\.Skip\("|(?:SKIPPED|SKIP\(\) <<|skipTest\()[: "]+needs )'
                           r'([\w.+-]+)')
        called = re.compile(r'\b(?:private_host\.enter|need)\((".*")\)')
        found = set()
        for folder, _, names in os.walk(os.path.dirname(lint)):
            for name in names:
                if name.endswith((".py", ".cc")) and folder != lint:
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        text = file.read()
                    found.update(named.findall(text))
                    for programs in called.findall(text):
                        found.update(re.findall(r'"([^"]+)"', programs))
        self.assertLessEqual({"root", "smbd", "c++", "sha_ni", "loop"}, found)
        self.assertEqual(found - set(check_skips.CAPABILITIES), set())


class Shape(unittest.TestCase):
    def test_percentiles(self):
        self.assertEqual(shape.percentile([1, 2, 3], 50), 2)
        self.assertEqual(shape.percentile(list(range(100)), 95), 95)


if __name__ == "__main__":
    unittest.main()
