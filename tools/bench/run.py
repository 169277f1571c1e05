#!/usr/bin/env python3
"""Runs the same workload on a directory of the disk, on FUSE file systems over it, and on DedupFS.

    tools/bench/run.py                      every row, every contender, 5 rounds
    tools/bench/run.py --quick              a look at the ratios in under two minutes
    tools/bench/run.py --rows read_cold,mixed --contenders disk,passthrough,dedupfs
    tools/bench/run.py --list               what there is

Needs root: caches are dropped and file systems mounted. docs/benchmarks.md has the rest.
"""

import argparse
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import contenders
import figures_file
import machine
import report
from bench_context import Bench
from bench_row import ROWS, NotHere
from contender import NotBuilt
from workload import MIB, Workload

for module in ("sequential", "random", "small_files", "trees", "mixed"):
    importlib.import_module(f"rows_{module}")

CHECKOUT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
FULL = {"size_mb": 1024, "small_files": 20_000, "tree_files": 50_000, "rounds": 5}
QUICK = {"size_mb": 64, "small_files": 1_000, "tree_files": 1_000, "rounds": 1}
QUICK_CONTENDERS = ["disk", "passthrough", "dedupfs"]


def names_out_of(known):
    def parse(text):
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
        return names
    return parse


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--list", action="store_true", help="print rows and contenders")
    parser.add_argument("--rows", type=names_out_of(ROWS), default=list(ROWS))
    parser.add_argument("--contenders", type=names_out_of(contenders.ALL))
    parser.add_argument("--size-mb", type=int, help="MiB of the large file")
    parser.add_argument("--small-files", type=int, help="how many files of 4 KiB")
    parser.add_argument("--tree-files", type=int, help="most files that the tree has")
    parser.add_argument("--tree", help="a source tree to use instead of files of this machine")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--dir", default=os.path.join(CHECKOUT, "build", "bench"),
                        help="where to work: the disk that is measured")
    parser.add_argument("--json", help="where to write every sample and summary")
    release = os.path.join(CHECKOUT, "build", "release", "tools")
    parser.add_argument("--dedupfs", default=os.path.join(release, "dedupfs", "dedupfs"))
    parser.add_argument("--passthrough",
                        default=os.path.join(release, "bench", "dedupfs_passthrough"))
    options = parser.parse_args()
    options.dir = os.path.abspath(options.dir)  # archivers work in another folder
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    if options.contenders is None:
        options.contenders = QUICK_CONTENDERS if options.quick else list(contenders.ALL)
    return options


def print_list():
    for row in ROWS.values():
        print(f"{row.name} [{row.unit}]: {row.text}")
    print("contenders: " + ", ".join(contenders.ALL))


class Run:
    """Everything of one call: contenders that are up, samples, and what could not run."""

    def __init__(self, options, root):
        self.options = options
        self.root = root
        self.running = []
        self.samples = {}
        self.skipped = {}
        self.failed = {}
        self.commit = machine.commit_of(CHECKOUT)
        self.versions = {}  # of the contenders' programs
        self.work = Workload(os.path.join(root, "source"), options.size_mb * MIB,
                             options.small_files, options.tree_files, options.tree)

    def start_contenders(self):
        for name in self.options.contenders:
            contender = contenders.ALL[name](self.root, self.options)
            try:
                contender.check()
                self.running.append(contender)
                self.versions[name] = contender.version()
                contender.make()
                contender.start()
            except NotHere as why:
                self.skipped[name] = str(why)
            except NotBuilt:
                raise
            except (OSError, RuntimeError) as error:
                self.drop(contender, error)

    def drop(self, contender, error):
        self.failed[contender.name] = str(error)
        self.stop(contender)
        self.running.remove(contender)

    @staticmethod
    def stop(contender):
        try:
            contender.stop()
        except (OSError, RuntimeError) as error:
            print(f"{contender.name} does not stop: {error}", file=sys.stderr)

    def run_rounds(self):
        for number in range(self.options.rounds):
            self.work.start_round(number)
            for name in self.options.rows:
                # Each contender is the first one in turn.
                turn = number % max(len(self.running), 1)
                for contender in self.running[turn:] + self.running[:turn]:
                    if contender.kind in ROWS[name].kinds:
                        self.run_row(ROWS[name], contender)

    def run_row(self, row, contender):
        where = f"{row.name} on {contender.name}"
        if where in self.skipped or where in self.failed:
            return
        try:
            contender.renew()
            bench = Bench(contender, self.work, row.name)
            row.run(bench)
            self.samples.setdefault(row.name, {}).setdefault(contender.name, []).append(
                bench.sample)
            told = f"{report.number(bench.sample['value'])} {row.unit}"
        except NotHere as why:
            self.skipped[where] = told = str(why)
        except Exception as error:  # one row that fails must not lose the figures of the others
            self.failed[where] = repr(error)
            told = traceback.format_exc()
        self.save()  # first: who reads what is printed may have gone
        print(f"round {self.work.round + 1}: {where}: {told}", file=sys.stderr, flush=True)

    def save(self):
        if not self.options.json:
            return
        try:
            figures_file.write(self.options.json, self.result())
        except OSError as error:  # the table is still to be had
            self.failed["--json"] = str(error)

    def tree_line(self):
        count = self.work.tree_count()
        return "" if count is None else f"a tree of {count} files, "

    def result(self):
        options = self.options
        rows = {name: {"unit": ROWS[name].unit,
                       "results": {c: report.summary(s) for c, s in samples.items()}}
                for name, samples in self.samples.items()}
        return {
            "machine": "machine: " + machine.describe(self.root),
            "settings_line": f"{options.size_mb} MiB, {options.small_files} small files, "
                             f"{self.tree_line()}{options.rounds} rounds, "
                             + time.strftime("%Y-%m-%d"),
            "commit": self.commit,
            "tree_files": self.work.tree_count(),
            "versions": self.versions,
            "contenders": [c.name for c in self.running],
            "rows": report.with_ratios(rows),
            "samples": self.samples,
            "peak_memory_bytes": {c.name: c.peak_bytes for c in self.running},
            "skipped": self.skipped,
            "failed": self.failed,
        }


def measure(run):
    try:
        run.work.check_tree()
        run.start_contenders()
        run.run_rounds()
        for contender in run.running:
            contender.note_memory()
        run.save()
        return run.result()
    finally:
        for contender in run.running:
            run.stop(contender)
        if not any(machine.is_mount_point(c.path) for c in run.running):
            shutil.rmtree(run.root, ignore_errors=True)


def main():
    options = parse_arguments()
    if options.list:
        print_list()
        return 0
    if os.geteuid() != 0:
        print("bench: needs root: caches are dropped and file systems mounted", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts, as after Ctrl-C
    try:
        if options.json:
            figures_file.check(options.json)
        os.makedirs(options.dir, exist_ok=True)
        run = Run(options, tempfile.mkdtemp(prefix="run-", dir=options.dir))
        result = measure(run)
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report.text(result))
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
