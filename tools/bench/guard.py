#!/usr/bin/env python3
"""Counts the instructions of the parts that every write passes, and compares them with guard_figures.json.

Each part runs twice under callgrind, with two counts of its unit; the difference of the instructions
by the difference of the counts is the figure, so that the start of the program does not count. Time
is not measured: the figures say nothing about waiting, nor about what the processor does at once.

    guard.py BENCH_GUARD             exit status 1 where a figure is more than 5 % above the committed
    guard.py BENCH_GUARD --update    writes the figures
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

FIGURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guard_figures.json")
TOLERANCE = 0.05
NEEDS_AVX2 = 77

# name: (unit, smaller count, larger count, mode that prepares its store)
PARTS = {
    "chunker": ("MiB", 2, 10, None),
    "fingerprint": ("MiB", 2, 10, None),
    "lookup": ("fingerprint", 8192, 73728, "prepare-lookup"),
    "create": ("file", 1000, 5000, "prepare-create"),
}


class Skip(Exception):
    pass


def run(command, expect=(0,)):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in expect:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def count_instructions(binary, part, count, keep=None):
    """The instructions of one run, of all its threads."""
    prepare = PARTS[part][3]
    with tempfile.TemporaryDirectory(prefix="dedupfs-guard-") as directory:
        arguments = [part, str(count)]
        if prepare:
            run([binary, prepare, directory])
            arguments.append(directory)
        out = os.path.join(directory, "callgrind.out")
        done = run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary,
                    *arguments], expect=(0, NEEDS_AVX2))
        if done.returncode == NEEDS_AVX2:
            raise Skip("needs avx2: the chunker's counted form uses it")
        with open(out, encoding="utf-8") as file:
            total = re.search(r"^(?:totals|summary): (\d+)", file.read(), re.MULTILINE)
        if keep:
            shutil.copy(out, os.path.join(keep, f"{part}-{count}.callgrind"))
    return int(total.group(1))


def measure(binary, part, keep=None):
    _, few, many, _ = PARTS[part]
    less, more = (count_instructions(binary, part, count, keep) for count in (few, many))
    return round((more - less) / (many - few))


def verdict(part, now, committed):
    """A line for the table, and whether the part has become too expensive."""
    change = (now - committed) / committed
    worse = change > TOLERANCE
    note = "  TOO MANY" if worse else "  fewer: run with --update" if change < -TOLERANCE else ""
    return f"{part:12} {now:>12,} a {PARTS[part][0]}, committed {committed:,} ({change:+.1%}){note}", worse


def make_folder(parser, path):
    """At the start: a run under callgrind takes minutes."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        parser.error(f"--keep {path}: {error.strerror}")


def need_callgrind():
    if shutil.which("valgrind") is None:
        raise Skip("needs valgrind: instructions are counted by its callgrind")


def read_figures(build):
    with open(FIGURES, encoding="utf-8") as file:
        committed = json.load(file)
    if committed["build"] != build:
        raise Skip(f"needs build: figures are of \"{committed['build']}\", this is \"{build}\"")
    return committed["instructions"]


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="bench_guard of a release build")
    parser.add_argument("--parts", default=",".join(PARTS), help="only these, separated by commas")
    parser.add_argument("--update", action="store_true", help="write the figures")
    parser.add_argument("--keep", metavar="DIR", help="keep callgrind's files there")
    options = parser.parse_args(arguments)
    parts = options.parts.split(",")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS)})")
    if options.keep:
        make_folder(parser, options.keep)
    need_callgrind()
    build = run([options.binary, "build"]).stdout.strip()
    committed = {} if options.update else read_figures(build)
    if options.update and set(parts) != set(PARTS):
        committed = read_figures(build)

    figures = dict(committed)
    failed = []
    for part in parts:
        figures[part] = measure(options.binary, part, options.keep)
        if options.update:
            print(f"{part:12} {figures[part]:>12,} a {PARTS[part][0]}", flush=True)
            continue
        line, worse = verdict(part, figures[part], committed[part])
        print(line, flush=True)
        if worse:
            failed.append(f"{part}: {figures[part]:,} instructions a {PARTS[part][0]}, more than "
                          f"{TOLERANCE:.0%} above the committed {committed[part]:,}")
    if options.update:
        with open(FIGURES, "w", encoding="utf-8") as file:
            json.dump({"build": build, "instructions": figures}, file, indent=2)
            file.write("\n")
    for line in failed:
        print(f"FAILED: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Skip as skip:
        print(f"SKIPPED: {skip}")
        sys.exit(0)
