#!/usr/bin/env python3
"""Makes the golden store of the present format version: `make_store.py NAME` writes NAME.tar.xz,
the store itself, and NAME.json, what must be found in it. Run as root by hand, once for each format
version, and then never again: what is here is what that version wrote.

The content is the same at every run; the secrets of the store and the times of its inodes are not.
"""

import json
import os
import random
import subprocess
import sys
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))

import golden  # noqa: E402
import harness  # noqa: E402

LEFT_OUT = ("lock", "control.sock", "dedupfs.log")
TIME_NS = 1_700_000_000_123_456_789


def write_and_sync(file, data):
    """With a time that the daemon knows as well as the kernel does."""
    file.write(data)
    file.flush()
    os.fsync(file.fileno())
    os.utime(file.fileno(), ns=(TIME_NS, TIME_NS))
    os.fsync(file.fileno())


def write(path, data):
    with open(path, "wb") as file:
        write_and_sync(file, data)


def fill_cold(fs, numbers):
    """Packs that are sealed, and rewritten with zstd."""
    os.mkdir(fs.join("dir"))
    write(fs.join("dir", "text"), b"".join(b"%d bottles\n" % n for n in range(20_000)))
    write(fs.join("dir", "random"), numbers.randbytes(70_000))
    write(fs.join("empty"), b"")
    with open(fs.join("sparse"), "wb") as file:
        file.seek(1 << 20)
        file.write(b"after a hole")
        file.truncate(3 << 20)
    os.link(fs.join("dir", "text"), fs.join("hard"))
    os.symlink("dir/text", fs.join("soft"))
    os.mkfifo(fs.join("fifo"), 0o640)
    os.mknod(fs.join("null"), 0o620 | 0o020000, os.makedev(1, 3))
    os.setxattr(fs.join("empty"), "user.small", b"value")
    os.setxattr(fs.join("empty"), "user.large", numbers.randbytes(2000))
    os.chown(fs.join("dir", "random"), 1234, 4321)
    os.chmod(fs.join("dir", "random"), 0o4751)
    subprocess.run(["setfacl", "-m", "u:77:rwx,d:g:78:r-x", fs.join("dir")], check=True)
    names = os.path.join(os.fsencode(fs.path), b"names")
    os.mkdir(names)
    for name in (b"\xff\xfe", "日本".encode(), b"x" * 255, b"a\nb"):
        write(os.path.join(names, name), name)


def fill_hot(fs, numbers):
    """What a crash leaves: a pack that is not sealed, dirty rows, an orphan, all in the log."""
    write(fs.join("lz4"), b"".join(b"%d green\n" % n for n in range(40_000)))
    dirty = open(fs.join("dirty"), "wb")
    write_and_sync(dirty, numbers.randbytes(5000))
    orphan = open(fs.join("orphan"), "wb")
    orphan.write(b"gone")
    os.unlink(fs.join("orphan"))
    return dirty, orphan


def pack(store, target):
    def plain(info):
        if os.path.basename(info.name).startswith("LOG") or info.name in LEFT_OUT:
            return None
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(target, "w:xz", preset=9) as tar:
        for name in sorted(os.listdir(store)):
            tar.add(os.path.join(store, name), arcname=name, filter=plain)


def main(name):
    numbers = random.Random(2)
    with harness.work_directory() as work, harness.Mount(work) as fs:
        fs.mount()
        fill_cold(fs, numbers)
        for path in harness.walk_tree(fs.path):
            os.utime(os.path.join(os.fsencode(fs.path), path), ns=(TIME_NS, TIME_NS),
                     follow_symlinks=False)
        harness.dedupfs("recompress", fs.store)
        fs.umount()
        fs.mount_as_child()
        open_files = fill_hot(fs, numbers)
        write(fs.join("dirty-too"), b"small and fsynced")
        listing = golden.describe_tree(fs.path)
        fs.kill()
        for file in open_files:
            try:
                file.close()
            except OSError:
                pass  # its daemon is dead
        harness.dedupfs("umount", fs.path)
        pack(fs.store, os.path.join(HERE, name + ".tar.xz"))
    with open(os.path.join(HERE, name + ".json"), "w", encoding="ascii") as file:
        json.dump(listing, file, indent=1, sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
