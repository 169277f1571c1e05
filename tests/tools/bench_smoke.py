#!/usr/bin/env python3
"""The bench runs: every row yields positive figures on the disk, a pass-through and DedupFS."""

import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.path.insert(0, os.path.join(ROOT, "tools", "bench"))

import harness  # noqa: E402
import run as bench  # noqa: E402

CONTENDERS = ["disk", "passthrough", "dedupfs"]
TIMEOUT_S = 240
RUN = os.path.join(ROOT, "tools", "bench", "run.py")


def check_row(name, row):
    assert set(row["results"]) == set(CONTENDERS), f"{name}: ran only on {list(row['results'])}"
    for contender, result in row["results"].items():
        where = f"{name} on {contender}"
        for key in ("value", "wall_s", "least", "most"):
            assert result[key] > 0, f"{where}: {key} is {result[key]}"
        for reference in ("disk", "passthrough"):
            assert result["ratio"][reference] > 0, f"{where}: no ratio against {reference}"
        assert result["ratio"].get(contender, 1) == 1, f"{where}: differs from itself"


def run_bench(command):
    """Ends it with SIGTERM where it hangs, so that it unmounts."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        try:
            output = process.communicate(timeout=TIMEOUT_S)[0]
        except subprocess.TimeoutExpired:
            process.terminate()
            output = process.communicate()[0]
    return process.returncode, output


def refused(directory, *arguments):
    """What a run says that cannot start; it says so at once, and leaves nothing."""
    status, output = run_bench(
        [sys.executable, RUN, "--rows", "copy_tree", "--rounds", "1", "--tree-files", "10",
         "--dir", directory, "--contenders", "disk,dedupfs", "--dedupfs", harness.BINARY, *arguments])
    assert status == 1 and "Traceback" not in output, output
    assert left_in(directory) == []
    return output


def left_in(directory):
    return [name for name in os.listdir(directory) if name.startswith("run-")]


def check_refusals(directory):
    missing = os.path.join(directory, "missing")
    assert missing in refused(directory, "--dedupfs", missing)
    in_missing = os.path.join(missing, "figures.json")
    assert in_missing in refused(directory, "--json", in_missing)
    empty = os.path.join(directory, "empty")
    os.mkdir(empty)
    assert empty in refused(directory, "--tree", empty)


def main():
    harness.need_fuse()
    if os.geteuid() != 0:
        raise harness.Skip("root", "caches are dropped and file systems mounted")
    with harness.work_directory() as directory:
        check_refusals(directory)
        path = os.path.join(directory, "bench.json")
        spaced = os.path.join(directory, "with a space")
        status, output = run_bench(
            [sys.executable, RUN, "--size-mb", "2", "--small-files", "50", "--tree-files", "60",
             "--rounds", "1", "--contenders", ",".join(CONTENDERS), "--dir",
             os.path.relpath(spaced), "--json", path, "--dedupfs", harness.BINARY,
             "--passthrough", os.environ["DEDUPFS_PASSTHROUGH"]])
        assert status == 0, output
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        assert left_in(spaced) == []
    needless = {f"{row} on {c}" for row in ("git_status", "compile") for c in CONTENDERS}
    assert set(result["skipped"]) <= needless, result["skipped"]
    skipped_rows = {where.split(" on ")[0] for where in result["skipped"]}
    assert set(result["rows"]) == set(bench.ROWS) - skipped_rows, sorted(result["rows"])
    for name, row in result["rows"].items():
        check_row(name, row)
    assert result["machine"].startswith("machine: ")
    assert 0 < result["tree_files"] <= 60, result["tree_files"]
    assert result["versions"]["dedupfs"], result["versions"]
    assert result["rows"]["mixed"]["results"]["dedupfs"]["data_bytes"] > 0
    assert result["peak_memory_bytes"]["dedupfs"] > 0
    assert result["rows"]["write_unique"]["results"]["dedupfs"]["disk_bytes"] > 0


harness.run_script(main)
