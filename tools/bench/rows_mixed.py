"""Many kinds of operations at once, for their latency."""

import array
import os
import random
import struct
import time

from bench_row import row
from workload import MIB

PROCESSES = 4
READ_BYTES = 64 << 10
WRITE_BYTES = 4096
MOVED = struct.Struct("=q")


class User:
    """One process: reads, writes, creates, stats, deletes, and fsyncs now and then."""

    def __init__(self, folder, number, seed):
        self.folder = os.path.join(folder, str(number))
        self.shared = os.path.join(folder, "shared")
        self.size = os.path.getsize(self.shared)
        self.source = random.Random(f"{seed}/{number}")
        self.made = []
        self.count = 0
        self.moved_bytes = 0

    def do_one(self):
        dice = self.source.random()
        if dice < 0.5:
            self.read()
        elif dice < 0.7:
            self.create(fsync=dice < 0.52)
        elif dice < 0.9 or not self.made:
            os.stat(self.made[-1] if self.made else self.shared)
        else:
            os.unlink(self.made.pop(0))

    def read(self):
        fd = os.open(self.shared, os.O_RDONLY)
        place = self.source.randrange(max(self.size - READ_BYTES, 1))
        self.moved_bytes += len(os.pread(fd, READ_BYTES, place))
        os.close(fd)

    def create(self, fsync):
        self.count += 1
        path = os.path.join(self.folder, str(self.count))
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        self.moved_bytes += os.write(fd, self.source.randbytes(WRITE_BYTES))
        if fsync:
            os.fsync(fd)
        os.close(fd)
        self.made.append(path)

    def latencies_us(self, operations):
        result = array.array("d")
        for _ in range(operations):
            begin = time.perf_counter()
            self.do_one()
            result.append((time.perf_counter() - begin) * 1e6)
        return result


def in_processes(folder, operations, seed):
    """Every process writes the bytes that it moved and its latencies into a pipe, which is read to
    its end. Returns the sum, and the latencies of all, sorted."""
    pipes, children = [], []
    for number in range(PROCESSES):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reader)
                user = User(folder, number, seed)
                latencies = user.latencies_us(operations)
                with os.fdopen(writer, "wb") as out:
                    out.write(MOVED.pack(user.moved_bytes) + latencies.tobytes())
                status = 0
            finally:
                os._exit(status)
        os.close(writer)
        pipes.append(reader)
        children.append(child)
    told = []
    for reader in pipes:
        with os.fdopen(reader, "rb") as source:
            told.append(source.read())
    if any([os.waitpid(child, 0)[1] != 0 for child in children]):
        raise RuntimeError("a process of the mixed load failed")
    all_us = array.array("d")
    for answer in told:
        all_us.frombytes(answer[MOVED.size:])
    return sum(MOVED.unpack_from(answer)[0] for answer in told), sorted(all_us)


@row("mixed", "op/s")
def mixed(bench):
    """4 processes: half of it 64 KiB reads, a fifth creates of 4 KiB, one in ten of them with
    fsync, stat, unlink; with the latencies that 50, 99 and 99.9 of 100 operations stay under."""
    bench.write("shared", bench.work.incompressible("shared", max(bench.work.size_bytes // 8, MIB)))
    for number in range(PROCESSES):
        os.mkdir(bench.join(str(number)))
    operations = max(bench.work.small_files // PROCESSES, 50)
    with bench.timed(operations * PROCESSES):
        moved_bytes, all_us = in_processes(bench.folder, operations, bench.work.round)
    bench.note_data(moved_bytes)
    assert len(all_us) == operations * PROCESSES
    for name, part in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)):
        bench.sample[name] = all_us[min(len(all_us) - 1, int(len(all_us) * part))]
