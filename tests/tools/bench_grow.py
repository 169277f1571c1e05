#!/usr/bin/env python3
"""The growth mode of the bench: every figure at every size, and a store that is whole."""

import contextlib
import json
import os
import struct
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.path.insert(0, os.path.join(ROOT, "tools", "bench"))

import grow  # noqa: E402
import grow_report  # noqa: E402
import harness  # noqa: E402

CHUNKS = [2000, 4000]
FILES = [500]
CHUNK_BYTES = 4096
FILE_BYTES = 16
UNIQUE_BYTES = 16
TIMEOUT_S = 240
GROW = os.path.join(ROOT, "tools", "bench", "grow.py")


def run_grow(directory, *arguments, expect=0):
    """Ends it with SIGTERM where it hangs, so that it unmounts."""
    command = [sys.executable, GROW, "--dir", directory, "--size-mb", "1", "--small-files", "20",
               "--rounds", "1", "--dedupfs", harness.BINARY,
               "--grow-store", os.environ["DEDUPFS_GROW_STORE"], *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        try:
            output = process.communicate(timeout=TIMEOUT_S)[0]
        except subprocess.TimeoutExpired:
            process.terminate()
            output = process.communicate()[0]
    assert process.returncode == expect, output
    return output


def check_figures(kind, results, targets, output):
    assert [figures["size"] for figures in results] == targets
    for figures in results:
        for key in ("growth_per_s", "mount_s", "mount_after_kill_s", "mount_after_growth_s",
                    "memory_after_mount_bytes", "memory_peak_bytes", "metadata_bytes", "physical_bytes",
                    "metadata_bytes_each"):
            assert figures[key] > 0, f"{kind}: {key} is {figures[key]}"
        assert figures["memory_peak_bytes"] >= figures["memory_after_mount_bytes"] / 2
        assert figures["physical_bytes"] > figures["metadata_bytes"]
        assert set(figures["rows"]) == set(grow.DEFAULT_ROWS)
        for name, row in figures["rows"].items():
            assert row["value"] > 0, f"{kind}: {name} is {row['value']}"
        # Rows of tables may be older versions too, never fewer than there are chunks.
        for family in ("fingerprint", "chunk"):
            found = figures["families"][family]
            assert found["entries"] >= figures["size"], f"{kind}: {family} {found}"
            assert found["bytes"] > 0, f"{kind}: {family} {found}"
    again = results[-1].get("rows_of_first_again", {})
    assert set(again) == (set(grow.DEFAULT_ROWS) if len(targets) > 1 else set()), set(again)
    titles = [title for title, _ in grow_report.lines_of(kind, results)]
    for title in [*titles, *(f"{name} [" for name in grow.DEFAULT_ROWS)]:
        assert title in output, f"{title}: not in the table"


def check_content(directory):
    """Each chunk holds its number, whichever run wrote it; so the second one went on."""
    with open(os.path.join(directory, "chunks", "0", "0"), "rb") as file:
        data = file.read()
    assert len(data) == CHUNKS[-1] * CHUNK_BYTES, len(data)
    stamps = set()
    for number in range(CHUNKS[-1]):
        chunk = data[number * CHUNK_BYTES:(number + 1) * CHUNK_BYTES]
        assert struct.unpack_from("<Q", chunk)[0] == number, f"chunk {number} holds another"
        assert len(set(chunk[UNIQUE_BYTES:])) == 1, f"chunk {number}: the filler differs"
        stamps.add(chunk[:UNIQUE_BYTES])
    assert len(stamps) == CHUNKS[-1]


def check_files(directory):
    folder = os.path.join(directory, "files", "0")
    assert set(os.listdir(folder)) == {str(number) for number in range(FILES[-1])}
    with open(os.path.join(folder, "17"), "rb") as file:
        data = file.read()
    assert len(data) == FILE_BYTES and struct.unpack_from("<Q", data)[0] == 17, data


@contextlib.contextmanager
def mounted(directory, kind):
    path = os.path.join(directory, kind, "mnt")
    harness.dedupfs("mount", os.path.join(directory, kind, "backing"), path)
    try:
        yield path
    finally:
        harness.dedupfs("umount", path)


def main():
    harness.need_fuse()
    if os.geteuid() != 0:
        raise harness.Skip("root", "caches are dropped and file systems mounted")
    with harness.work_directory() as directory:
        path = os.path.join(directory, "growth.json")
        output = run_grow(directory, "--chunks", ",".join(map(str, CHUNKS)), "--files",
                          ",".join(map(str, FILES)), "--json", path)
        with open(path, encoding="utf-8") as file:
            growth = json.load(file)["growth"]
        check_figures("chunks", growth["chunks"], CHUNKS, output)
        check_figures("files", growth["files"], FILES, output)
        for kind, check in (("chunks", check_content), ("files", check_files)):
            store = os.path.join(directory, kind, "backing")
            result = json.loads(harness.dedupfs("check", "--json", store, expect=None).stdout)
            assert result.get("problems") == 0, result
            with mounted(directory, kind) as root:
                check(root)
                assert sorted(os.listdir(root)) == [kind], f"rows left {os.listdir(root)}"
        # A store never shrinks, so figures of a smaller size would be those of this one.
        output = run_grow(directory, "--chunks", "1000", "--files", "", expect=1)
        assert "holds 4000 already" in output, output


harness.run_script(main)
