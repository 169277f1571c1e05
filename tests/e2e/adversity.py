#!/usr/bin/env python3
"""What a machine does to a mounted store: a second daemon, a copy, a move, no descriptors, no memory,
a disk that goes away. Each is refused or fails cleanly, and what was synced is whole afterwards."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import resource
import struct
import subprocess

import harness
from disk_full import small_disk

FILE_BYTES = 300_000
# What a file system may say when its disk cannot be used; never ENOENT or EMFILE, which would be
# answers about the caller's file or the caller's process.
ERRORS_OF_A_DISK = {errno.EIO, errno.EROFS, errno.ENOSPC}
SHUT_DOWN = 0x8004587D  # _IOR('X', 125, __u32), of XFS; ext4 knows it too
WITHOUT_LOG_FLUSH = 2


def put(path, data):
    """Written and synced, or an OSError."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view):]
        os.fsync(fd)
    finally:
        os.close(fd)


class Synced:
    """The files that were put, by name."""

    def __init__(self, fs, random):
        self.fs, self.random, self.digests = fs, random, {}

    def put(self, name):
        data = self.random.randbytes(FILE_BYTES)
        put(self.fs.join(name), data)
        self.digests[name] = hashlib.sha256(data).digest()

    def put_many(self, prefix, count=10):
        for number in range(count):
            self.put(f"{prefix}{number}")

    def put_until_it_fails(self, prefix, count):
        """The number of the error, or None."""
        for number in range(count):
            try:
                self.put(f"{prefix}{number}")
            except OSError as error:
                return error.errno
        return None

    def verify(self, root=None):
        for name, digest in self.digests.items():
            with open(os.path.join(root or self.fs.path, name), "rb") as file:
                assert hashlib.file_digest(file, "sha256").digest() == digest, name


def after_all(fs, synced):
    """On a mount of its own, and by the check."""
    fs.mount()
    synced.verify()
    fs.umount()
    fs.check()


def second_daemon(fs, synced):
    fs.mount()
    synced.put_many("before")
    other = os.path.join(os.path.dirname(fs.path), "other")
    os.mkdir(other)
    for arguments in (("mount", fs.store, other), ("check", fs.store)):
        refused = harness.dedupfs(*arguments, expect=4)
        assert "in use" in refused.stderr and fs.store in refused.stderr, refused.stderr
    refused = harness.dedupfs("format", fs.store, expect=1)
    assert "is a DedupFS store already" in refused.stderr, refused.stderr
    synced.put_many("after")
    fs.umount()


def copied_while_mounted(fs, synced):
    fs.mount()
    synced.put_many("first")
    copy = fs.store + ".copy"
    # The copy is made file by file while the store changes: good, or refused with a reason.
    with subprocess.Popen(["cp", "-a", fs.store, copy], stderr=subprocess.DEVNULL) as copying:
        synced.put_many("beside")
        copying.wait(harness.TIMEOUT_S)
    checked = harness.dedupfs("check", copy, expect=None)
    assert checked.returncode in (0, 1, 8), checked
    assert checked.returncode == 0 or checked.stderr or checked.stdout, "refused without a word"
    synced.verify()
    fs.umount()


def moved_while_mounted(fs, synced):
    fs.mount()
    synced.put_many("before")
    moved = fs.store + ".moved"
    os.rename(fs.store, moved)
    code = synced.put_until_it_fails("moved", 20)
    assert code is None or code in ERRORS_OF_A_DISK, os.strerror(code)
    with contextlib.suppress(OSError), open(fs.join("unsynced"), "wb") as file:
        file.write(b"x" * FILE_BYTES)
    with contextlib.suppress(OSError):
        synced.verify()
    harness.dedupfs("umount", "--force", fs.path)
    os.rename(moved, fs.store)


def out_of_descriptors(fs, synced):
    fs.mount_as_child()
    synced.put_many("before")
    limits = resource.prlimit(fs.daemon.pid, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{fs.daemon.pid}/fd"))
    resource.prlimit(fs.daemon.pid, resource.RLIMIT_NOFILE, (used, limits[1]))
    for number in range(5):
        code = synced.put_until_it_fails(f"few{number}-", 40)
        assert code is None or code in ERRORS_OF_A_DISK, os.strerror(code)
        refused = harness.dedupfs("reclaim", fs.store, expect=None)
        assert refused.returncode == 0 or "descriptor" in refused.stderr, refused
    resource.prlimit(fs.daemon.pid, resource.RLIMIT_NOFILE, limits)
    synced.verify()
    harness.dedupfs("umount", "--force", fs.path)
    fs.end_of_daemon()


def out_of_memory(fs, synced):
    fs.mount_as_child()
    synced.put_many("before")
    with open(f"/proc/{fs.daemon.pid}/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.prlimit(fs.daemon.pid, resource.RLIMIT_AS, (used + (2 << 20), used + (2 << 20)))
    # It may go on, answer with errors, or end: nothing that was synced is lost in any case.
    synced.put_until_it_fails("little", 60)
    fs.kill()
    subprocess.run(["umount", "-l", fs.path], check=True)


def disk_goes_away(work, random):
    with small_disk(work) as disk:
        with harness.Mount(work, store=os.path.join(disk, "store")) as fs:
            synced = Synced(fs, random)
            fs.mount_as_child()
            synced.put_many("before")
            fd = os.open(disk, os.O_RDONLY)
            try:
                fcntl.ioctl(fd, SHUT_DOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
            finally:
                os.close(fd)
            code = synced.put_until_it_fails("after", 1)
            assert code in ERRORS_OF_A_DISK, code and os.strerror(code)
            status = harness.dedupfs("status", "--json", fs.path, expect=None)
            told = json.loads(status.stdout)
            assert told.get("healthy") is False and told.get("failure"), told
            refused = harness.dedupfs("umount", fs.path, expect=1)
            assert "stays mounted" in refused.stderr, refused.stderr
            harness.dedupfs("umount", "--force", fs.path)
            fs.end_of_daemon()
            subprocess.run(["umount", disk], check=True)
            subprocess.run(["mount", "-o", "loop", os.path.join(work, "image"), disk], check=True)
            after_all(fs, synced)


def body():
    harness.need_fuse()
    random = harness.seeded_random()
    for case in (second_daemon, copied_while_mounted, moved_while_mounted, out_of_descriptors,
                 out_of_memory):
        print(case.__name__, flush=True)
        with harness.work_directory() as work, harness.Mount(work) as fs:
            synced = Synced(fs, random)
            case(fs, synced)
            after_all(fs, synced)
    print("disk_goes_away", flush=True)
    with harness.work_directory() as work:
        disk_goes_away(work, random)


if __name__ == "__main__":
    harness.run_script(body)
