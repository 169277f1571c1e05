#!/usr/bin/env python3
"""Grows a store step by step, and shows how rows, memory, mount time and metadata grow with it.

    tools/bench/grow.py                       1, 10 and 50 million chunks; 1 and 10 million files
    tools/bench/grow.py --chunks 1M,10M --files "" --rows read_cold,create_small
    tools/bench/grow.py --dir /data/grown --json growth.json

Needs root: caches are dropped and file systems mounted. The stores stay in --dir; a later run goes
on with them. docs/benchmarks.md has the rest.
"""

import argparse
import os
import shutil
import signal
import statistics
import sys
import time

import figures_file
import machine
import report
import run
from bench_row import ROWS, NotHere
from grow_contender import Grown
from grow_report import short, table
from workload import MIB, Workload

DEFAULT_ROWS = ["write_unique", "write_duplicate", "read_cold", "random_read",
                "random_write_fsync", "create_small", "stat_cold", "readdir_cold", "delete_small"]
MOUNTS = 3
# Made before each kill, and not synced: what a mount after it has to find again.
FILES_BEFORE_KILL = 2000
BYTES_BEFORE_KILL = 4096
CHUNKS_OF_TB = 1e12 / (64 << 10)
UNITS = {"": 1, "K": 1000, "M": 1_000_000}
# What a store may hold beyond the size that is asked for: folders, and the rows' at their worst.
SLACK = 100


def sizes(text):
    numbers = []
    for word in filter(None, text.split(",")):
        unit = word[-1].upper() if word[-1].isalpha() else ""
        digits = word[:len(word) - len(unit)]
        if unit not in UNITS or not digits.isdigit() or int(digits) == 0:
            raise argparse.ArgumentTypeError(f"{word} is no number such as 2000, 500K or 10M")
        numbers.append(int(digits) * UNITS[unit])
    if numbers != sorted(set(numbers)):
        raise argparse.ArgumentTypeError(f"{text}: sizes must grow")
    return numbers


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--chunks", type=sizes, default=sizes("1M,10M,50M"),
                        help='sizes of the store of large files ("": none)')
    parser.add_argument("--files", type=sizes, default=sizes("1M,10M"),
                        help='sizes of the store of small files ("": none)')
    parser.add_argument("--rows", type=run.names_out_of(ROWS), default=DEFAULT_ROWS)
    parser.add_argument("--size-mb", type=int, default=256, help="MiB of the large file of a row")
    parser.add_argument("--small-files", type=int, default=5000,
                        help="how many files of 4 KiB a row makes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", default=os.path.join(run.CHECKOUT, "build", "grown"),
                        help="where the stores lie: the disk that is measured")
    parser.add_argument("--json", help="where to write every figure")
    release = os.path.join(run.CHECKOUT, "build", "release", "tools")
    parser.add_argument("--dedupfs", default=os.path.join(release, "dedupfs", "dedupfs"))
    parser.add_argument("--grow-store", default=os.path.join(release, "bench", "grow_store"))
    options = parser.parse_args()
    options.dir = os.path.abspath(options.dir)
    if min(options.size_mb, options.small_files, options.rounds) < 1:
        parser.error("--size-mb, --small-files and --rounds must be at least 1")
    return options


def held(kind, stats):
    return stats["chunks"] if kind == "chunks" else stats["inodes"]


def check_size(store, target):
    """Sizes only grow: figures of a larger store would stand under the smaller size."""
    now = held(store.what, store.stats())
    if now > target + target // 1000 + SLACK:
        raise RuntimeError(f"{store.backing} holds {now} already, more than {target}")


def measure_growth(store, target, figures):
    grown = store.grow(target)
    if grown["added"] > 0:
        figures["growth_per_s"] = grown["added"] / grown["seconds"]
    # The first mount after growth also replays the log.
    store.restart_cold()
    figures["mount_after_growth_s"] = store.mount_s
    store.settle()
    store.wait_until_quiet()
    stats = store.stats()
    if held(store.what, stats) < target:
        raise RuntimeError(f"{store.backing} holds {held(store.what, stats)}, less than {target}")
    figures["metadata_bytes"] = stats["metadata_bytes"]
    figures["physical_bytes"] = stats["physical_bytes"]
    figures["metadata_bytes_each"] = stats["metadata_bytes"] / target
    if store.what == "chunks":
        figures["metadata_bytes_for_tb"] = figures["metadata_bytes_each"] * CHUNKS_OF_TB
    figures["families"] = store.families()


def measure_mount(store, figures):
    mounts = []
    for _ in range(MOUNTS):
        store.restart_cold()
        mounts.append(store.mount_s)
    figures["mount_s"] = statistics.median(mounts)
    figures["memory_after_mount_bytes"] = store.memory_bytes()
    figures["mount_after_kill_s"] = statistics.median(
        mount_after_kill(store) for _ in range(MOUNTS))


def mount_after_kill(store):
    folder = os.path.join(store.path, "killed")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    for number in range(FILES_BEFORE_KILL):
        with open(os.path.join(folder, str(number)), "wb") as file:
            file.write(os.urandom(BYTES_BEFORE_KILL))
    store.kill_and_start_cold()
    seconds = store.mount_s
    shutil.rmtree(folder, ignore_errors=True)
    store.settle()
    return seconds


def measure_rows(stores, options, work, first_round, samples, skipped):
    """The samples of each row on each store; in each round one store after the other."""
    for number in range(options.rounds):
        turn = number % len(stores)
        for row in options.rows:
            # A round of its own, so its data was never in a store, and no other row's.
            work.start_round(first_round)
            first_round += 1
            for store in stores[turn:] + stores[:turn]:
                where = f"{row} on {store.name}"
                if where in skipped:
                    continue
                try:
                    sample = store.run_row(row, work)
                except NotHere as why:
                    skipped[where] = told = str(why)
                else:
                    samples[store.name].setdefault(row, []).append(sample)
                    told = f"{report.number(sample['value'])} {ROWS[row].unit}"
                print(f"{store.name}, round {number + 1}: {row}: {told}", file=sys.stderr,
                      flush=True)


def summaries(samples):
    return {name: report.summary(some) for name, some in samples.items()}


def measure_size(store, beside, options, work, first_round, figures, skipped):
    """Grows `store`, and puts into `figures` what it finds, so that a failure loses nothing.
    `beside` is the store of the first size, or None."""
    measure_growth(store, figures["size"], figures)
    measure_mount(store, figures)
    store.peak_bytes = 0
    stores = [store]
    if beside is not None:
        beside.start()
        stores.append(beside)
    samples = figures["samples"] = {some.name: {} for some in stores}
    try:
        measure_rows(stores, options, work, first_round, samples, skipped)
    finally:
        figures["rows"] = summaries(samples[store.name])
        if beside is not None:
            figures["rows_of_first_again"] = summaries(samples[beside.name])
    store.note_memory()
    figures["memory_peak_bytes"] = store.peak_bytes
    for some in stores:
        some.settle()
        some.stop()


def measure_store(kind, targets, options, results, skipped):
    """Appends the figures of one store at each size to `results`."""
    store = Grown(options.dir, options, kind, kind)
    first = Grown(options.dir, options, kind, kind + "-first")
    store.check()
    store.make()
    work = Workload(os.path.join(options.dir, "source"), options.size_mb * MIB,
                    options.small_files, 1, None)
    # Seconds tell the data of this run from what earlier runs left in the store.
    first_round = int(time.time())
    try:
        for target in targets:
            print(f"{kind}: {short(target)}", file=sys.stderr, flush=True)
            is_last = target == targets[-1] and len(targets) > 1
            check_size(store, target)
            results.append({"size": target})
            measure_size(store, first if is_last else None, options, work, first_round,
                         results[-1], skipped)
            first_round += options.rounds * len(options.rows)
            if target == targets[0] and len(targets) > 1:
                first.copy_of(store)
    finally:
        store.stop()
        first.stop()


def main():
    options = parse_arguments()
    if os.geteuid() != 0:
        print("grow: needs root: caches are dropped and file systems mounted", file=sys.stderr)
        return 2
    try:
        if options.json:
            figures_file.check(options.json)
        os.makedirs(options.dir, exist_ok=True)
    except (OSError, RuntimeError) as error:
        print(f"grow: {error}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts, as after Ctrl-C
    result = {
        "machine": "machine: " + machine.describe(options.dir),
        "settings_line": f"{options.size_mb} MiB, {options.small_files} small files, "
                         f"{options.rounds} rounds, " + time.strftime("%Y-%m-%d"),
        "commit": machine.commit_of(run.CHECKOUT),
        "growth": {},
        "skipped": {},
    }
    failed = False
    try:
        for kind, targets in (("chunks", options.chunks), ("files", options.files)):
            if targets:
                measure_store(kind, targets, options, result["growth"].setdefault(kind, []),
                              result["skipped"])
    except (NotHere, OSError, RuntimeError) as error:
        print(f"grow: {error}", file=sys.stderr)
        failed = True
    finally:
        # Also what was measured before a failure or a signal.
        if options.json:
            figures_file.write(options.json, result)
    print(result["machine"], result["settings_line"], sep="\n")
    for kind, results in result["growth"].items():
        if results:
            print(table(kind, results))
    for what, why in result["skipped"].items():
        print(f"skipped: {what}: {why}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
