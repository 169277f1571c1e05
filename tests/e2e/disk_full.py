#!/usr/bin/env python3
"""A store on a disk that runs full: nothing is harmed, deletes work, the space comes back."""

import contextlib
import errno
import hashlib
import os
import subprocess

import harness

IMAGE_BYTES = 400 << 20
FILE_BYTES = 1 << 20
RESERVE = 'reserve_bytes = "16 MiB"\n'
MAX_FILES = 2 * IMAGE_BYTES // FILE_BYTES


@contextlib.contextmanager
def small_disk(work, size=IMAGE_BYTES):
    """A directory on an ext4 file system of `size` bytes."""
    if os.geteuid() != 0:
        raise harness.Skip("root", "it mounts a disk image")
    image, disk = os.path.join(work, "image"), os.path.join(work, "disk")
    os.mkdir(disk)
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    done = subprocess.run(["mount", "-o", "loop", image, disk], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise harness.Skip("loop", done.stderr.strip())
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def write_synced(path, data):
    """True if it is all there and durable, False if the disk was full."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    full = False
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        full = True
    finally:
        try:
            os.close(fd)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return not full


def fill(fs, prefix, random):
    """Writes files until the disk is full; the digests of those that were synced."""
    digests = {}
    for number in range(MAX_FILES):
        data = random.randbytes(FILE_BYTES)
        path = fs.join(f"{prefix}{number:05}")
        if not write_synced(path, data):
            os.unlink(path)
            return digests
        digests[path] = hashlib.sha256(data).digest()
    raise AssertionError(f"{MAX_FILES} files fit on a disk of {IMAGE_BYTES} bytes")


def verify(digests):
    for path, digest in digests.items():
        with open(path, "rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == digest, path


def run_on(fs, random):
    fs.mount()
    first = fill(fs, "a", random)
    print(f"full after {len(first)} files", flush=True)
    assert len(first) * FILE_BYTES > IMAGE_BYTES // 2, "the disk was called full too early"
    verify(first)
    statvfs = os.statvfs(fs.path)
    assert statvfs.f_bavail * statvfs.f_frsize < IMAGE_BYTES // 4, "statvfs tells of free space"

    fs.remount()
    verify(first)
    for path in sorted(first)[: len(first) * 2 // 3]:
        os.unlink(path)
        del first[path]
    harness.dedupfs("reclaim", fs.store)
    verify(first)

    second = fill(fs, "b", random)
    print(f"{len(second)} files more after the deletes", flush=True)
    assert len(second) * FILE_BYTES >= 64 << 20, "the space did not come back"
    verify(first)
    verify(second)
    fs.umount()
    fs.check()

    fs.mount()
    verify(first)
    verify(second)
    for name in os.listdir(fs.path):
        os.unlink(fs.join(name))
    fs.umount()
    fs.check()


def main():
    harness.need_fuse()
    random = harness.seeded_random()
    with harness.work_directory() as work, small_disk(work) as disk:
        with harness.Mount(work, store=os.path.join(disk, "store")) as fs:
            with open(os.path.join(fs.store, "dedupfs.toml"), "w", encoding="utf-8") as file:
                file.write(RESERVE)
            run_on(fs, random)


if __name__ == "__main__":
    harness.run_script(main)
