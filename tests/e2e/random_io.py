#!/usr/bin/env python3
"""Random writes, mapped writes, holes, seeks, truncates and copies through the mount, by several
threads at once, against plain byte arrays; over remounts; the content ids at the end are those of
files written in one go.

Each thread owns files of its own, and a part of every shared file. DEDUPFS_TEST_SEED re-runs.
"""

import ctypes
import errno
import mmap
import os
import random
import threading

import harness

THREADS = 3
ROUNDS = 3
OPERATIONS = 250  # of one thread in one round
FILE_LIMIT = 3 << 20
SHARED_PART = 640 << 10  # of one thread in a shared file; no multiple of a chunk
BLOCK = 4096
CONFIG = 'dirty_budget_bytes = "16 MiB"\ncommit_interval_ms = 50\n'
PUNCH_HOLE_KEEP_SIZE = 3
ZERO_RANGE_KEEP_SIZE = 0x11

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, offset, length) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


class Model:
    """What a file must hold, or the part [begin, end) of it that one thread owns."""

    def __init__(self, path, begin=0, end=None):
        self.path, self.begin, self.end = path, begin, end
        self.bytes = bytearray(0 if end is None else end - begin)

    @property
    def shared(self):
        return self.end is not None

    def put(self, offset, data):
        if len(self.bytes) < offset:
            self.bytes.extend(bytes(offset - len(self.bytes)))
        self.bytes[offset:offset + len(data)] = data


class Worker:
    def __init__(self, fs, number, seed):
        self.fs, self.random = fs, random.Random(f"{seed}/{number}")
        self.pool = [self.random.randbytes(self.random.randrange(1, 90_000)) for _ in range(6)]
        self.pool += [b"some text that comes again and again. " * 700, bytes(70_000)]
        self.own = [Model(fs.join(f"own-{number}-{i}")) for i in range(3)]
        self.own.append(Model(fs.join(f"image-{number}.img")))  # fixed blocks, by its name
        self.shared = [Model(fs.join(f"shared-{i}"), number * SHARED_PART,
                             (number + 1) * SHARED_PART) for i in range(2)]
        for model in self.own:
            os.close(os.open(model.path, os.O_CREAT | os.O_RDWR, 0o644))
        self.error = None

    def run(self):
        try:
            for _ in range(OPERATIONS):
                model = self.random.choice(self.own + self.shared)
                operation = self.random.choice(
                    [self.write, self.write, self.write, self.map_write, self.punch, self.zero,
                     self.truncate, self.copy, self.read, self.seek, self.sync])
                fd = os.open(model.path, os.O_RDWR)
                try:
                    operation(model, fd)
                finally:
                    os.close(fd)
        except BaseException as error:  # raised again by the main thread
            self.error = error

    def data(self):
        piece = self.random.choice(self.pool)
        start = self.random.randrange(len(piece))
        return piece[start:]

    def place(self, model, length):
        """An offset where `length` bytes may go; often aligned."""
        room = (len(model.bytes) if model.shared else FILE_LIMIT) - length
        offset = self.random.randrange(max(1, room))
        if not model.shared and self.random.random() < 0.5:
            offset = min(offset, len(model.bytes))
        return offset - offset % BLOCK if self.random.random() < 0.5 else offset

    def write(self, model, fd):
        data = self.data()
        offset = self.place(model, len(data))
        assert os.pwrite(fd, data, model.begin + offset) == len(data)
        model.put(offset, data)

    def map_write(self, model, fd):
        if len(model.bytes) < 2 * BLOCK:
            return
        data = self.data()[:len(model.bytes) // 2]
        offset = self.random.randrange(len(model.bytes) - len(data))
        first = (model.begin + offset) // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        with mmap.mmap(fd, model.begin + offset + len(data) - first, offset=first) as mapped:
            start = model.begin + offset - first
            mapped[start:start + len(data)] = data
            if self.random.random() < 0.3:
                mapped.flush()
        model.put(offset, data)

    def range(self, model):
        if not model.bytes:
            return 0, 0
        offset = self.random.randrange(len(model.bytes))
        length = self.random.randrange(1, len(model.bytes) - offset + 1)
        return offset, min(length, 300_000)

    def clear(self, model, fd, mode):
        offset, length = self.range(model)
        if length > 0:
            fallocate(fd, mode, model.begin + offset, length)
            model.put(offset, bytes(length))

    def punch(self, model, fd):
        self.clear(model, fd, PUNCH_HOLE_KEEP_SIZE)

    def zero(self, model, fd):
        self.clear(model, fd, ZERO_RANGE_KEEP_SIZE)

    def truncate(self, model, fd):
        if model.shared:
            return
        size = self.random.randrange(FILE_LIMIT)
        os.ftruncate(fd, size)
        if size < len(model.bytes):
            del model.bytes[size:]
        else:
            model.put(size, b"")

    def copy(self, model, fd):
        source = self.random.choice(self.own)
        if not source.bytes:
            return
        offset, length = self.range(source)
        if self.random.random() < 0.5:
            offset -= offset % BLOCK
        length = min(length, len(source.bytes) - offset)
        if model.shared:
            length = min(length, len(model.bytes) // 2)
        target = self.place(model, length)
        if source is model and offset < target + length and target < offset + length:
            return
        data = bytes(source.bytes[offset:offset + length])
        from_fd = os.open(source.path, os.O_RDONLY)
        try:
            done = 0
            while done < length:
                count = os.copy_file_range(from_fd, fd, length - done, offset + done,
                                           model.begin + target + done)
                assert count > 0, "copy_file_range stopped"
                done += count
        finally:
            os.close(from_fd)
        model.put(target, data)

    def read(self, model, fd):
        offset, length = self.range(model)
        found = os.pread(fd, length, model.begin + offset)
        expect(model, found, model.bytes[offset:offset + length], offset)

    def seek(self, model, fd):
        """Seeks never skip data, and never call data a hole."""
        if model.shared or not model.bytes:
            return
        offset = self.random.randrange(len(model.bytes))
        try:
            data = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            assert error.errno == errno.ENXIO, error
            data = len(model.bytes)
        assert not any(model.bytes[offset:data]), f"{model.path}: SEEK_DATA skips data"
        hole = os.lseek(fd, offset, os.SEEK_HOLE)
        assert offset <= hole <= len(model.bytes)
        if hole < len(model.bytes):
            block = bytes(model.bytes[hole:hole - hole % BLOCK + BLOCK])
            assert not any(block), f"{model.path}: SEEK_HOLE finds data at {hole}"

    def sync(self, _, fd):
        os.fsync(fd)

    def verify(self):
        for model in self.own + self.shared:
            with open(model.path, "rb") as file:
                file.seek(model.begin)
                found = file.read(len(model.bytes) if model.shared else -1)
            expect(model, found, model.bytes, 0)


def expect(model, found, wanted, offset):
    if found == wanted:
        return
    at = next((i for i, (a, b) in enumerate(zip(found, wanted)) if a != b),
              min(len(found), len(wanted)))
    raise AssertionError(f"{model.path}: wrong from {model.begin + offset + at} on "
                         f"({len(found)} bytes, {len(wanted)} expected)")


def content_id(path):
    return os.getxattr(path, "user.dedupfs.content_id")


def run(fs, seed):
    with open(os.path.join(fs.store, "dedupfs.toml"), "w", encoding="utf-8") as file:
        file.write(CONFIG)
    fs.mount()
    for i in range(2):
        with open(fs.join(f"shared-{i}"), "wb") as file:
            file.truncate(THREADS * SHARED_PART)
    workers = [Worker(fs, number, seed) for number in range(THREADS)]
    for _ in range(ROUNDS):
        threads = [threading.Thread(target=worker.run) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for worker in workers:
            if worker.error is not None:
                raise worker.error
            worker.verify()
        fs.remount()
        for worker in workers:
            worker.verify()
    for worker in workers:
        for model in worker.own:
            again = fs.join("again" + (".img" if model.path.endswith(".img") else ""))
            with open(again, "wb") as file:
                file.write(model.bytes)
            assert content_id(again) == content_id(model.path), f"{model.path}: recipe not canonical"
            os.unlink(again)
    fs.umount()
    fs.check()


def main():
    harness.need_fuse()
    seed = harness.seeded_random().getrandbits(32)
    with harness.work_directory() as work, harness.Mount(work) as fs:
        run(fs, seed)


if __name__ == "__main__":
    harness.run_script(main)
