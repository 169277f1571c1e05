#!/usr/bin/env python3
"""A real tree, and one with everything odd in it, goes in twice and comes out as it was."""

import hashlib
import os
import shutil
import stat
import subprocess

import harness

SOURCES = ("/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/doc")
MAX_FILES = 30_000
MAX_BYTES = 300 << 20
LARGEST_CHUNK = 32 * 1024 * 8 // 5
MIN_FILES = 1_000


def pick_files():
    """Regular files and symbolic links of this machine, up to the caps."""
    picked, total = [], 0
    for source in SOURCES:
        for directory, _, names in os.walk(source):
            for name in sorted(names):
                path = os.path.join(directory, name)
                info = os.lstat(path)
                if not (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)):
                    continue
                if len(picked) >= MAX_FILES or total + info.st_size > MAX_BYTES:
                    return picked
                picked.append(path)
                total += info.st_size
    return picked


def copy_real_files(target):
    """By tar, which keeps what cp would, and takes a list."""
    os.mkdir(target)
    files = pick_files()
    assert len(files) >= MIN_FILES, f"only {len(files)} files found"
    names = b"\0".join(os.fsencode(f.lstrip("/")) for f in files)
    packer = subprocess.Popen(["tar", "-C", "/", "--null", "-T", "-", "-cf", "-"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    unpacker = subprocess.Popen(["tar", "-C", target, "-xpf", "-"], stdin=packer.stdout)
    packer.stdout.close()
    packer.stdin.write(names)
    packer.stdin.close()
    assert packer.wait() == 0 and unpacker.wait() == 0


def make_odd_names(root):
    os.mkdir(root)
    root = os.fsencode(root)
    for name in (b" ", b"-rf", b"a\nb", b"tab\t", b"\xff\xfe", "ü日本".encode(), b"x" * 255,
                 b"back\\slash", b"quote'\"", b"...", b"*?[]"):
        with open(os.path.join(root, name), "wb") as file:
            file.write(name)


def make_links_and_special_files(root):
    os.mkdir(root)
    at = lambda name: os.path.join(root, name)
    with open(at("original"), "wb") as file:
        file.write(os.urandom(100_000))
    for number in range(5):
        os.link(at("original"), at(f"hard{number}"))
    os.symlink("original", at("soft"))
    os.symlink("/nowhere/at/all", at("dangling"))
    os.symlink("y" * 4095, at("longest"))
    os.mkfifo(at("fifo"), 0o640)
    os.link(at("fifo"), at("fifo-link"))
    if os.geteuid() == 0:
        os.mknod(at("null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(at("socket"), 0o600 | stat.S_IFSOCK)


def make_sparse_files(root):
    os.mkdir(root)
    for name, pieces, size in (("empty", [], 0), ("hole", [], 10 << 20),
                               ("middle", [(5 << 20, b"data" * 5000)], 20 << 20),
                               ("far", [(0, b"begin"), (1 << 30, b"end")], (1 << 30) + 3),
                               ("zeros", [(0, bytes(3 << 20))], 3 << 20)):
        with open(os.path.join(root, name), "wb") as file:
            for offset, data in pieces:
                file.seek(offset)
                file.write(data)
            file.truncate(size)


def make_attributes(root, random):
    os.mkdir(root)
    as_root = os.geteuid() == 0
    for number in range(64):
        path = os.path.join(root, f"file{number}")
        with open(path, "wb") as file:
            file.write(random.randbytes(random.randrange(5000)))
        os.setxattr(path, "user.small", b"v" * number)
        if number % 8 == 0:
            os.setxattr(path, "user.large", random.randbytes(3000))
        if as_root:
            os.chown(path, 1000 + number, 2000 + number)
        os.chmod(path, random.randrange(0o10000) if as_root else 0o600 | random.randrange(0o1000))
        os.utime(path, ns=(random.randrange(1 << 61), random.randrange(1 << 61)))
    path = os.path.join(root, "acl")
    os.mkdir(path)
    subprocess.run(["setfacl", "-m", "u:1234:rwx,g:4321:r-x,d:u:77:rw", path], check=True)
    deep = root
    for _ in range(60):
        deep = os.path.join(deep, "deep-directory")
        os.mkdir(deep)


def make_source(root, random):
    os.mkdir(root)
    copy_real_files(os.path.join(root, "real"))
    make_odd_names(os.path.join(root, "names"))
    make_links_and_special_files(os.path.join(root, "links"))
    make_sparse_files(os.path.join(root, "sparse"))
    make_attributes(os.path.join(root, "attributes"), random)


def regular_files(root):
    """One path for each inode of a regular file."""
    seen = set()
    for path in harness.walk_tree(root):
        path = os.path.join(os.fsencode(root), path)
        info = os.lstat(path)
        if stat.S_ISREG(info.st_mode) and info.st_ino not in seen:
            seen.add(info.st_ino)
            yield path, info.st_size


def distinct_bytes(root):
    """The bytes of files with different content, counted once each."""
    sizes = {}
    for path, size in regular_files(root):
        with open(path, "rb") as file:
            sizes[hashlib.file_digest(file, "sha256").digest()] = size
    return sum(sizes.values())


def change_some(root, random):
    """Inserts a line into the middle of one file in fifty; the most that this may add."""
    bound = 0
    for number, (path, size) in enumerate(regular_files(root)):
        if number % 50 or size == 0 or size > 64 << 20:
            continue
        with open(path, "rb") as file:
            content = file.read()
        line = random.randbytes(40).hex().encode()
        middle = len(content) // 2
        with open(path, "wb") as file:
            file.write(content[:middle] + line + content[middle:])
        bound += min(size + len(line), 6 * LARGEST_CHUNK)
    assert bound > 0
    return bound


def copy_in(source, fs, name):
    subprocess.run(["cp", "-a", source, fs.join(name)], check=True)
    fs.sync()
    stats = fs.stats()
    print(f"{name}: logical {stats['logical_bytes']} unique {stats['unique_bytes']} "
          f"stored {stats['stored_bytes']} physical {stats['physical_bytes']}", flush=True)
    return stats


def check_ratios(fs, source, changed, random):
    distinct = distinct_bytes(source)
    total = sum(size for _, size in regular_files(source))
    first = copy_in(source, fs, "first")
    assert 0 < first["unique_bytes"] <= distinct, (first, distinct)
    assert first["logical_bytes"] <= total, (first, total)
    assert first["stored_bytes"] < first["unique_bytes"], "text is compressed"
    second = copy_in(source, fs, "second")
    assert second["logical_bytes"] == 2 * first["logical_bytes"], (first, second)
    growth = second["unique_bytes"] - first["unique_bytes"]
    assert growth <= 0.01 * first["unique_bytes"], f"the second copy added {growth} bytes"
    subprocess.run(["cp", "-a", source, changed], check=True)
    bound = change_some(changed, random)
    third = copy_in(changed, fs, "changed")
    growth = third["unique_bytes"] - second["unique_bytes"]
    assert 0 < growth <= bound, f"the changed copy added {growth} bytes, more than {bound}"


def check_emptied(fs, inodes_before):
    for name in os.listdir(fs.path):
        shutil.rmtree(fs.join(name))
    before = fs.stats()["physical_bytes"]
    harness.dedupfs("reclaim", fs.store)
    stats = fs.stats()
    for key in ("logical_bytes", "unique_bytes", "stored_bytes", "chunks", "orphans"):
        assert stats[key] == 0, (key, stats)
    assert stats["inodes"] == inodes_before, stats
    assert stats["physical_bytes"] < before, stats


def main():
    harness.need_fuse()
    random = harness.seeded_random()
    with harness.work_directory() as work:
        source, changed = os.path.join(work, "source"), os.path.join(work, "changed")
        make_source(source, random)
        with harness.Mount(work) as fs:
            fs.mount()
            inodes_before = fs.stats()["inodes"]
            check_ratios(fs, source, changed, random)
            fs.remount()
            for expected, name in ((source, "first"), (source, "second"), (changed, "changed")):
                count = harness.compare_trees(expected, fs.join(name))
                print(f"{name}: {count} paths are equal", flush=True)
            fs.umount()
            fs.check()
            fs.mount()
            check_emptied(fs, inodes_before)
            fs.umount()
            fs.check()


if __name__ == "__main__":
    harness.run_script(main)
