"""Drives the real `dedupfs` binary: stores, mounts, kills, and whole-tree comparison."""

import contextlib
import filecmp
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import traceback
import unittest

BINARY = os.environ.get("DEDUPFS_BINARY", "dedupfs")
TIMEOUT_S = 300


class Skip(Exception):
    """The machine lacks something: `Skip("loop", "why")`."""

    def __init__(self, thing, why):
        super().__init__(f"needs {thing}: {why}")


def run_script(body):
    """Runs a test script's body and exits as ctest wants it."""
    try:
        body()
    except Skip as skip:
        print(f"SKIPPED: {skip}")
        sys.exit(0)
    except BaseException:  # also KeyboardInterrupt: the trace tells where it hung
        traceback.print_exc()
        sys.exit(1)
    print("passed")


def run_cases():
    """The test cases of the script, all of which mount."""
    try:
        need_fuse()
    except Skip as skip:
        print(f"SKIPPED: {skip}")
        sys.exit(0)
    unittest.main(verbosity=2)


def need_fuse():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        raise Skip("fuse", str(error)) from error


def seeded_random():
    seed = int(os.environ.get("DEDUPFS_TEST_SEED") or random.SystemRandom().getrandbits(32))
    print(f"DEDUPFS_TEST_SEED={seed}", flush=True)
    return random.Random(seed)


def dedupfs(*arguments, expect=0):
    """Runs a subcommand and returns it; fails unless it exits with `expect`."""
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True,
                          timeout=TIMEOUT_S, check=False)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"dedupfs {' '.join(map(str, arguments))}: exit {done.returncode}, "
                             f"not {expect}\n{done.stdout}{done.stderr}")
    return done


def binary_for_anyone(directory):
    """A copy of the program that every user may run, wherever this checkout lies."""
    copy = os.path.join(directory, "dedupfs")
    shutil.copy(BINARY, copy)
    os.chmod(copy, 0o755)
    os.chmod(directory, 0o755)
    return copy


@contextlib.contextmanager
def work_directory():
    path = tempfile.mkdtemp(prefix="dedupfs-e2e-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Mount:
    """A store and its mount point. `with Mount(directory) as fs:` formats; leaving unmounts."""

    def __init__(self, directory, store=None, format_options=()):
        self.store = store or os.path.join(directory, "store")
        self.path = os.path.join(directory, "mnt")
        self.daemon = None
        self.format_options = format_options

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        dedupfs("format", *self.format_options, self.store)
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.print_log()
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon.stdout.close()
        if self.is_mounted():
            subprocess.run([BINARY, "umount", self.path], check=False, capture_output=True,
                           timeout=TIMEOUT_S)
        if self.is_mounted():
            subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)

    def print_log(self):
        log = os.path.join(self.store, "dedupfs.log")
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as file:
                print("--- the end of dedupfs.log\n" + "".join(file.readlines()[-50:]))

    def is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
            return any(line.split()[4] == os.path.realpath(self.path) for line in table)

    def mount(self, options=""):
        dedupfs("mount", *(["-o", options] if options else []), self.store, self.path)

    def mount_as_child(self, env=None, options=()):
        """In the foreground, as a child that kill() can kill; `env` is its whole environment."""
        log = open(os.path.join(self.store, "dedupfs.log"), "ab")
        with log:
            self.daemon = subprocess.Popen([BINARY, "mount", "-f", *options, self.store, self.path],
                                           stdout=subprocess.PIPE, stderr=log, text=True, env=env)
        line = self.daemon.stdout.readline()
        assert line.startswith("mounted "), f"the daemon did not start: {line!r}"
        os.statvfs(self.path)

    def kill(self):
        self.daemon.send_signal(signal.SIGKILL)
        self.end_of_daemon()

    def end_of_daemon(self):
        status = self.daemon.wait(TIMEOUT_S)
        self.daemon.stdout.close()
        self.daemon = None
        return status

    def umount(self):
        dedupfs("umount", self.path)
        if self.daemon is not None:
            assert self.end_of_daemon() == 0, "the daemon did not end well"

    def remount(self):
        self.umount()
        self.mount()

    def stats(self):
        return json.loads(dedupfs("stats", "--json", self.store).stdout)

    def sync(self):
        dedupfs("sync", self.store)

    def check(self):
        """The store, which is not mounted, is whole."""
        assert not self.is_mounted()
        result = json.loads(dedupfs("check", "--json", self.store, expect=None).stdout)
        assert result.get("problems") == 0, result

    def join(self, *names):
        return os.path.join(self.path, *names)

    def packs(self):
        folder = os.path.join(self.store, "packs")
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]

    def flip(self, data, offset):
        """Changes, in the only pack that has it, the byte that lies at `offset` of `data`."""
        found = 0
        for path in self.packs():
            with open(path, "r+b") as pack:
                content = pack.read()
                # Bytes behind it as well as before it: a chunk may begin or end in between.
                for first in (offset, offset - 15):
                    place = content.find(data[first:first + 16])
                    if place >= 0:
                        found += 1
                        pack.seek(place + offset - first)
                        pack.write(bytes([data[offset] ^ 1]))
                        break
        assert found == 1, f"byte {offset} of the data is in {found} packs"


def describe(path):
    """What must be equal in a copy, without content and link group."""
    info = os.lstat(path)
    kind = stat.S_IFMT(info.st_mode)
    result = {"mode": oct(info.st_mode), "uid": info.st_uid, "gid": info.st_gid,
              "mtime_ns": info.st_mtime_ns}
    if kind == stat.S_IFREG:
        result.update(size=info.st_size, nlink=info.st_nlink)
    if kind == stat.S_IFLNK:
        result["target"] = os.readlink(path)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        result["rdev"] = info.st_rdev
    result["xattrs"] = {name: os.getxattr(path, name, follow_symlinks=False)
                        for name in sorted(os.listxattr(path, follow_symlinks=False))}
    return result


def walk_tree(root):
    """Every path below root, as bytes relative to it, the root itself as b'.'."""
    root = os.fsencode(root)
    yield b"."
    for directory, names, files in os.walk(root):
        for name in names + files:
            yield os.path.relpath(os.path.join(directory, name), root)


def link_groups(root, paths):
    groups = {}
    for path in paths:
        info = os.lstat(os.path.join(os.fsencode(root), path))
        if not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1:
            groups.setdefault(info.st_ino, []).append(path)
    return sorted(sorted(group) for group in groups.values())


def compare_trees(expected, actual):
    """Raises with the first differences; returns how many paths were compared."""
    wanted, found = set(walk_tree(expected)), set(walk_tree(actual))
    faults = [f"missing: {p!r}" for p in sorted(wanted - found)]
    faults += [f"extra: {p!r}" for p in sorted(found - wanted)]
    for path in sorted(wanted & found):
        left = os.path.join(os.fsencode(expected), path)
        right = os.path.join(os.fsencode(actual), path)
        before, after = describe(left), describe(right)
        if before != after:
            differing = {k: (before.get(k), after.get(k)) for k in before.keys() | after.keys()
                         if before.get(k) != after.get(k)}
            faults.append(f"{path!r}: {differing}")
        elif stat.S_ISREG(os.lstat(left).st_mode) and not filecmp.cmp(left, right, shallow=False):
            faults.append(f"{path!r}: other content")
        if len(faults) > 20:
            break
    filecmp.clear_cache()
    if link_groups(expected, wanted) != link_groups(actual, found):
        faults.append("hard links are grouped differently")
    assert not faults, "\n".join(faults)
    return len(wanted)
