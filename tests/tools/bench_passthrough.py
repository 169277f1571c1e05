#!/usr/bin/env python3
"""The bench's pass-through serves more files than it may have descriptors, with xattrs."""

import contextlib
import os
import resource
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.path.insert(0, os.path.join(ROOT, "tools", "bench"))

import contenders  # noqa: E402
import harness  # noqa: E402

DESCRIPTORS = 200
FILES = 500


class FewDescriptors(contenders.Passthrough):
    """A pass-through below `ulimit -n 200`, without the right to more."""

    def command(self):
        return ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *super().command()]


class Options:
    passthrough = os.environ["DEDUPFS_PASSTHROUGH"]


@contextlib.contextmanager
def passthrough(directory):
    served = FewDescriptors(directory, Options)
    served.make()
    try:
        served.start()
        yield served
    finally:
        served.stop()


def content(number):
    return f"content of {number}\n".encode()


def write_all(tree):
    for i in range(FILES):
        with open(os.path.join(tree, f"f{i}"), "wb") as file:
            file.write(content(i))


def check_all(tree):
    names = {f"f{i}" for i in range(FILES)}
    with os.scandir(tree) as found:
        sizes = {entry.name: entry.stat().st_size for entry in found}
    assert sizes == {f"f{i}": len(content(i)) for i in range(FILES)}, set(sizes) ^ names
    for i in range(FILES):
        with open(os.path.join(tree, f"f{i}"), "rb") as file:
            assert file.read() == content(i), f"f{i} reads differently"


def check_changes(tree):
    """Every kind of request by the last file, which has no descriptor of its own."""
    path = os.path.join(tree, f"f{FILES - 1}")
    os.chmod(path, 0o640)
    os.utime(path, (1, 2))
    assert (os.stat(path).st_mode & 0o777, os.stat(path).st_mtime) == (0o640, 2)
    os.truncate(path, 3)
    assert os.stat(path).st_size == 3
    os.setxattr(path, "user.color", b"red")
    assert os.getxattr(path, "user.color") == b"red"
    assert "user.color" in os.listxattr(path)
    os.removexattr(path, "user.color")
    assert os.listxattr(path) == []
    os.link(path, path + ".link")
    assert os.stat(path).st_nlink == 2
    os.rename(path + ".link", path)  # the same file, so nothing happens
    os.unlink(path + ".link")
    os.symlink("target", path + ".symlink")
    assert os.readlink(path + ".symlink") == "target"
    os.unlink(path + ".symlink")
    folder = os.path.join(tree, "folder")
    os.mkdir(folder)
    os.rename(path, os.path.join(folder, "moved"))
    assert os.listdir(folder) == ["moved"]
    os.rename(os.path.join(folder, "moved"), path)
    os.rmdir(folder)


def remove_all(tree):
    for i in range(FILES):
        os.unlink(os.path.join(tree, f"f{i}"))
    assert os.listdir(tree) == []


def main():
    harness.need_fuse()
    if os.geteuid() != 0:
        raise harness.Skip("root", "files are opened by handle")
    with harness.work_directory() as directory, passthrough(directory) as served:
        limit = resource.prlimit(served.pid(), resource.RLIMIT_NOFILE)
        assert limit == (DESCRIPTORS, DESCRIPTORS), limit
        tree = os.path.join(served.path, "tree")
        os.mkdir(tree)
        write_all(tree)
        check_all(tree)
        check_changes(tree)
        with contextlib.ExitStack() as known:
            # The kernel goes on knowing these, while the disk gives their inode numbers to others.
            for i in range(FILES // 2, FILES):
                known.callback(os.close, os.open(os.path.join(tree, f"f{i}"), os.O_PATH))
            remove_all(tree)
            write_all(tree)
            check_all(tree)
        remove_all(tree)
        with open(served.log, encoding="utf-8") as log:
            assert log.read() == ""


harness.run_script(main)
