#!/usr/bin/env python3
"""Fails if a test was skipped for the want of something that this machine has.

Reads ctest's JUnit files. A test that skips prints `needs THING: why`; THING is one of CAPABILITIES,
or a word that is not known here, which is an error too: a skip that nobody can judge hides a test.
"""

import functools
import glob
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree


def cpu_has(*flags):
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        words = set(re.findall(r"\w+", next((l for l in info if l.startswith("flags")), "")))
    return all(flag in words for flag in flags)


def has_fuse():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
        return True
    except OSError:
        return False


def has_root():
    return os.geteuid() == 0


def has_loop():
    if not has_root():
        return False
    found = subprocess.run(["losetup", "-f"], capture_output=True, check=False)
    return found.returncode == 0 and os.path.exists(found.stdout.decode().strip())


def has_filesystem(name):
    with open("/proc/filesystems", encoding="ascii") as known:
        if name in known.read().split():
            return True
    return subprocess.run(["modprobe", "-n", name], capture_output=True, check=False).returncode == 0


def has_program(name):
    return shutil.which(name) is not None


def has_user_namespaces():
    return subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True,
                          check=False).returncode == 0


def has_namespaces():
    """What the tests look at themselves: private_host says why it skips."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
    import private_host  # pylint: disable=import-outside-toplevel
    return private_host.why_no_namespaces() is None


PROGRAMS = ("mkfs.xfs", "mkfs.ext4", "fsfreeze", "git", "rsync", "tar", "sqlite3", "valgrind",
            "smbd", "smbclient", "smbpasswd", "ganesha.nfsd", "rpcbind", "nfs-cp", "unshare", "ip",
            "fio", "stress-ng", "dbench", "ninja", "cmake", "c++")
CAPABILITIES = {
    "xfs": lambda: has_filesystem("xfs"),
    "fuse": has_fuse,
    "root": has_root,
    "loop": has_loop,
    "avx2": lambda: cpu_has("avx2"),
    "avx512": lambda: cpu_has("avx512f", "avx512bw", "avx512vl"),
    "sha_ni": lambda: cpu_has("sha_ni"),
    "postgresql": lambda: bool(glob.glob("/usr/lib/postgresql/*/bin/pg_amcheck")),
    "namespaces": has_namespaces,
    "userns": has_user_namespaces,
} | {program: functools.partial(has_program, program) for program in PROGRAMS}


def faults_of(name, output, capabilities=None):
    """What is wrong with the skip of the test `name`, which said `output`."""
    known = CAPABILITIES if capabilities is None else capabilities
    reasons = re.findall(r"needs ([\w.+-]+):", output)
    if not reasons:
        yield f"{name}: skipped without `needs THING: why`"
    for thing in reasons:
        if thing not in known:
            yield f"{name}: skipped for {thing}, which check_skips.py does not know"
        elif known[thing]():
            yield f"{name}: skipped for {thing}, which this machine has"


def skipped_cases(path):
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            yield case.get("name"), "".join(case.itertext())


def main(paths):
    if not paths:
        print("usage: check_skips.py JUNIT_XML...", file=sys.stderr)
        return 2
    faults = []
    for path in paths:
        for name, output in skipped_cases(path):
            faults.extend(faults_of(name, output))
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
