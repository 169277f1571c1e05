"""4 KiB at random places of a file that is there."""

import small_io
from bench_context import TURNS
from bench_row import row
from workload import MIB

WRITERS = 8


def measure(bench, paths, mode, operations, fsync_each=False):
    """fio's start and preparation do not count, so the rate is the one that it reports."""
    with bench.timed(1, operations * len(paths) * small_io.BLOCK):
        done, seconds = small_io.run(paths, mode, operations, fsync_each, bench.work.round)
    assert done > 0
    bench.sample["value"] = done / seconds
    bench.sample["engine"] = small_io.engine()


def file_to_work_on(bench):
    data = bench.work.incompressible("random", max(bench.work.size_bytes // 4, MIB))
    bench.write("file", data)
    return bench.join("file"), len(data) // small_io.BLOCK


@row("random_read", "op/s")
def random_read(bench):
    """4 KiB random reads of a file that was just read."""
    path, blocks = file_to_work_on(bench)
    bench.read("file")
    measure(bench, [path], "read", blocks * TURNS)


@row("random_write", "op/s")
def random_write(bench):
    """4 KiB random writes, buffered: no fsync."""
    path, blocks = file_to_work_on(bench)
    measure(bench, [path], "write", blocks * TURNS)


@row("random_write_fsync", "op/s")
def random_write_fsync(bench):
    """4 KiB random writes, fsync after each; so many that what must come later comes in between."""
    path, blocks = file_to_work_on(bench)
    measure(bench, [path], "write", blocks, fsync_each=True)


@row("random_write_fsync_8", "op/s")
def random_write_fsync_8(bench):
    """The same by 8 processes, each on a file of its own."""
    size = max(bench.work.size_bytes // 32, MIB)
    paths = []
    for number in range(WRITERS):
        bench.write(f"file-{number}", bench.work.incompressible(f"writer-{number}", size))
        paths.append(bench.join(f"file-{number}"))
    measure(bench, paths, "write", size // small_io.BLOCK, fsync_each=True)
