"""One large file: written, written again, read."""

import os
import random

from bench_context import TURNS
from bench_row import row
from workload import MIB

FRAGMENT_BYTES = 256 << 10
FRAGMENTS_PER_SYNC = 64


def mb(data):
    return len(data) / 1e6


@row("write_unique", "MB/s")
def write_unique(bench):
    """Sequential write of unique, incompressible data in pieces of 1 MiB, fsync at the end."""
    data = bench.work.incompressible("write_unique")
    with bench.timed(mb(data), len(data), stores=True):
        bench.write("file", data)


@row("write_compressible", "MB/s")
def write_compressible(bench):
    """The same with text files of this machine, stamped so that no chunk comes twice."""
    data = bench.work.compressible("write_compressible")
    with bench.timed(mb(data), len(data), stores=True):
        bench.write("file", data)


@row("write_duplicate", "MB/s")
def write_duplicate(bench):
    """Sequential write of data that another file holds already, fsync at the end."""
    data = bench.work.incompressible("write_duplicate")
    bench.write("first", data)
    with bench.timed(mb(data), len(data), stores=True):
        bench.write("second", data)


@row("read_cold", "MB/s")
def read_cold(bench):
    """Sequential read, file system mounted anew and the kernel's caches dropped."""
    data = bench.work.incompressible("read")
    bench.write("file", data)
    with bench.timed(mb(data), len(data), cold=True):
        got = bench.read("file")
    assert got == len(data)


@row("read_warm", "MB/s")
def read_warm(bench):
    """Sequential read of a file that was just read, again and again."""
    data = bench.work.incompressible("read")
    bench.write("file", data)
    bench.read("file")
    with bench.timed(mb(data) * TURNS, len(data) * TURNS):
        got = sum(bench.read("file") for _ in range(TURNS))
    assert got == len(data) * TURNS


@row("read_fragmented_cold", "MB/s")
def read_fragmented_cold(bench):
    """Cold sequential read of a file that was written in pieces of 256 KiB in random order, with
    fsync and other data in between."""
    data = bench.work.incompressible("read")
    noise = bench.work.incompressible("noise", MIB)
    starts = list(range(0, len(data), FRAGMENT_BYTES))
    random.Random(bench.work.round).shuffle(starts)
    view = memoryview(data)
    fd = os.open(bench.join("file"), os.O_CREAT | os.O_WRONLY, 0o644)
    for number, start in enumerate(starts, 1):
        os.pwrite(fd, view[start:start + FRAGMENT_BYTES], start)
        if number % FRAGMENTS_PER_SYNC == 0:
            os.fsync(fd)
            bench.write(f"noise-{number}", noise)
    os.fsync(fd)
    os.close(fd)
    view.release()
    with bench.timed(mb(data), len(data), cold=True):
        got = bench.read("file")
    assert got == len(data)
