#!/usr/bin/env python3
"""The guard tells a figure that grew too much from one that did not."""

import json
import os
import sys
import unittest
from unittest import mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tools", "bench"))

import guard  # noqa: E402


class Verdict(unittest.TestCase):
    def test_more_than_the_tolerance_above_is_too_many(self):
        line, worse = guard.verdict("create", 1051, 1000)
        self.assertTrue(worse)
        for told in ("create", "1,051", "1,000"):
            self.assertIn(told, line)

    def test_the_tolerance_itself_and_fewer_are_not(self):
        for now in (1050, 1000, 500):
            self.assertFalse(guard.verdict("create", now, 1000)[1], now)


class Measure(unittest.TestCase):
    def test_what_both_runs_share_does_not_count(self):
        _, few, many, _ = guard.PARTS["lookup"]
        self.assertLess(few, many)
        with mock.patch.object(guard, "count_instructions",
                               lambda binary, part, count, keep: 1_000_000 + 70 * count):
            self.assertEqual(guard.measure("bench_guard", "lookup"), 70)


class Figures(unittest.TestCase):
    def test_each_part_has_one(self):
        with open(guard.FIGURES, encoding="utf-8") as file:
            build = json.load(file)["build"]
        self.assertEqual(set(guard.read_figures(build)), set(guard.PARTS))

    def test_those_of_another_build_are_not_compared(self):
        with self.assertRaises(guard.Skip):
            guard.read_figures("clang 14 not release x86-64")


if __name__ == "__main__":
    unittest.main()
