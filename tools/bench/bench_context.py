"""What a row works with: its folder on one contender, the data, and the clock."""

import contextlib
import os
import time

import machine
from bench_row import FILE_SYSTEM
from workload import MIB

# How often a row does what caches answer: the few hundredths of a second of once tell little.
TURNS = 16


class Bench:
    """One row on one contender in one round. `with bench.timed(...)` surrounds what counts."""

    def __init__(self, contender, work, row_name):
        self.contender = contender
        self.work = work
        self.folder = os.path.join(contender.path, row_name)
        self.sample = None
        if contender.kind == FILE_SYSTEM:
            os.makedirs(self.folder)

    def join(self, *names):
        return os.path.join(self.folder, *names)

    @contextlib.contextmanager
    def timed(self, amount, data_bytes=0, stores=False, cold=False):
        """`amount` is what is done inside, in the row's unit. `data_bytes` are the bytes that the
        row moves; `stores`: what they take on the disk is asked for afterwards."""
        if cold:
            self.contender.make_cold()
        else:
            self.contender.settle()
        before_bytes = self.contender.disk_bytes() if stores else 0
        pid = self.contender.pid()
        user, system = machine.user_cpu_s(pid) if pid else (0, 0)
        kernel = machine.kernel_cpu_s()
        begin = time.perf_counter()
        yield
        wall = time.perf_counter() - begin
        kernel = machine.kernel_cpu_s() - kernel
        if pid:
            user_after, system_after = machine.user_cpu_s(pid)
            user, system = user_after - user, system_after - system
        self.contender.note_memory()
        sample = {"value": amount / wall, "wall_s": wall, "daemon_user_s": user,
                  "daemon_system_s": system, "kernel_s": kernel, "cpu_s": user + kernel}
        if stores:
            self.contender.settle()
            sample["disk_bytes"] = self.contender.disk_bytes() - before_bytes
        self.sample = sample
        if data_bytes:
            self.note_data(data_bytes)

    def note_data(self, data_bytes):
        """Also for a row that knows only afterwards how many bytes it moved."""
        self.sample["data_bytes"] = data_bytes
        self.sample["cpu_s_per_gb"] = self.sample["cpu_s"] / (data_bytes / 1e9)

    def note_compressed(self):
        """What the row's data takes on the disk once the background has compressed it."""
        before = self.contender.disk_bytes()
        if self.contender.compress_more():
            saved = before - self.contender.disk_bytes()
            self.sample["compressed_disk_bytes"] = self.sample["disk_bytes"] - saved

    def write(self, name, data, sync=True):
        """Writes a file in pieces of 1 MiB."""
        view = memoryview(data)
        fd = os.open(self.join(name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        try:
            for start in range(0, len(view), MIB):
                piece = view[start:start + MIB]
                while piece:
                    piece = piece[os.write(fd, piece):]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
            view.release()

    def read(self, name):
        """Reads a file in pieces of 1 MiB; returns its size."""
        buffer = bytearray(MIB)
        total = 0
        with open(self.join(name), "rb", buffering=0) as file:
            while got := file.readinto(buffer):
                total += got
        return total
