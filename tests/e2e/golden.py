#!/usr/bin/env python3
"""Stores that earlier versions wrote (tests/golden): opened, checked, exported, mounted and written
to, with everything in them as it was."""

import glob
import hashlib
import json
import os
import stat
import tarfile

import harness
from harness import dedupfs

GOLDEN = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden")


def describe_tree(root):
    """What every later version must find, by path."""
    listing = {}
    for path in sorted(harness.walk_tree(root)):
        absolute = os.path.join(os.fsencode(root), path)
        entry = harness.describe(absolute)
        entry["xattrs"] = {name: value.hex() for name, value in entry["xattrs"].items()}
        if "target" in entry:
            entry["target"] = os.fsdecode(entry["target"])
        if stat.S_ISREG(os.lstat(absolute).st_mode):
            with open(absolute, "rb") as file:
                entry["sha256"] = hashlib.sha256(file.read()).hexdigest()
        listing[path.hex() + " " + ascii(path)] = entry
    return listing


def compare(expected, found, where):
    faults = [f"{path}: {expected.get(path)} is {found.get(path)}"
              for path in sorted(expected.keys() | found.keys())
              if expected.get(path) != found.get(path)]
    assert not faults, where + "\n" + "\n".join(faults)


def try_store(name, expected):
    with harness.work_directory() as work:
        fs = harness.Mount(work)
        os.mkdir(fs.store)
        os.mkdir(fs.path)
        with tarfile.open(os.path.join(GOLDEN, name + ".tar.xz")) as tar:
            tar.extractall(fs.store)
        dedupfs("check", fs.store)
        out = os.path.join(work, "out")
        if os.geteuid() == 0:  # who else could keep the owners
            dedupfs("export", fs.store, out)
            compare(expected, describe_tree(out), f"{name}, exported")
        try:
            fs.mount("ro")
            compare(expected, describe_tree(fs.path), f"{name}, mounted read-only")
            fs.umount()
            fs.mount()
            compare(expected, describe_tree(fs.path), f"{name}, mounted")
            with open(fs.join("new"), "wb") as file:
                file.write(b"new" * 100_000)
            fs.umount()
            fs.check()
            fs.mount()
            with open(fs.join("new"), "rb") as file:
                assert file.read() == b"new" * 100_000
            os.unlink(fs.join("new"))
            found = describe_tree(fs.path)
            for root in (found, expected):  # its times have changed by now
                root[b".".hex() + " " + ascii(b".")].pop("mtime_ns")
            compare(expected, found, f"{name}, written to")
        finally:
            fs.__exit__(None)


def main():
    harness.need_fuse()
    if os.geteuid() != 0:
        raise harness.Skip("root", "the golden store is root's")
    names = sorted(os.path.basename(path)[:-len(".json")]
                   for path in glob.glob(os.path.join(GOLDEN, "*.json")))
    assert names, "there is no golden store"
    for name in names:
        size = os.path.getsize(os.path.join(GOLDEN, name + ".tar.xz"))
        assert size < 300 << 10, f"{name} has {size} bytes"
        with open(os.path.join(GOLDEN, name + ".json"), encoding="ascii") as file:
            expected = json.load(file)
        try_store(name, expected)
        print(f"{name}: {len(expected)} paths as they were", flush=True)


if __name__ == "__main__":
    harness.run_script(main)
