#!/usr/bin/env python3
"""A request that hangs, because the disk below the store is frozen, is shown by `dedupfs status`
and logged once, and again when it went on."""

import json
import os
import subprocess
import threading
import time

import disk_full
import harness

LIMIT_MS = 100


def freeze(disk):
    done = subprocess.run(["fsfreeze", "--freeze", disk], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise harness.Skip("fsfreeze", done.stderr.strip())


def mount(fs, log):
    """As a child whose log is not on the frozen disk."""
    with open(log, "wb") as file:
        fs.daemon = subprocess.Popen([harness.BINARY, "mount", "-f", fs.store, fs.path],
                                     stdout=subprocess.PIPE, stderr=file, text=True)
    line = fs.daemon.stdout.readline()
    assert line.startswith("mounted "), f"the daemon did not start: {line!r}"


def requests_of(fs):
    return json.loads(harness.dedupfs("status", "--json", fs.path).stdout)["requests"]


def lines_with(log, event):
    with open(log, encoding="utf-8") as file:
        return [line for line in file if f" {event} " in line]


def wait_until(answer):
    """Asks until there is an answer. Gives up where none comes, so that the disk is not left frozen."""
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        found = answer()
        if found:
            return found
    raise AssertionError("no answer came")


def check_hang(fs, disk, log):
    with open(fs.join("file"), "wb") as file:
        file.write(b"x" * 1000)
        file.flush()
        ino = os.fstat(file.fileno()).st_ino
        freeze(disk)
        try:
            syncer = threading.Thread(target=os.fsync, args=(file.fileno(),))
            syncer.start()
            logged = wait_until(lambda: [line for line in lines_with(log, "request_hangs")
                                         if f"op=fsync ino={ino} " in line])
            hanging = [r for r in requests_of(fs) if r["operation"] == "fsync"]
            assert [r["ino"] for r in hanging] == [ino], hanging
            assert hanging[0]["age_ms"] >= LIMIT_MS and hanging[0]["thread"] > 0, hanging
            print(f"hangs: {hanging[0]}", flush=True)
            said = wait_until(lambda: [
                line for line in harness.dedupfs("status", fs.path).stdout.splitlines()
                if f"fsync of inode {ino} for " in line])
            print(said[0], flush=True)
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
        syncer.join()
    wait_until(lambda: [line for line in lines_with(log, "request_went_on")
                        if f"op=fsync ino={ino} " in line])
    again = [line for line in lines_with(log, "request_hangs") if f"op=fsync ino={ino} " in line]
    assert again == logged and len(logged) == 1, f"told more than once: {again}"
    assert not [r for r in requests_of(fs) if r["operation"] == "fsync"]


def main():
    harness.need_fuse()
    with harness.work_directory() as work, disk_full.small_disk(work) as disk:
        with harness.Mount(work, store=os.path.join(disk, "store")) as fs:
            with open(os.path.join(fs.store, "dedupfs.toml"), "w", encoding="ascii") as file:
                file.write(f"{disk_full.RESERVE}request_warn_ms = {LIMIT_MS}\n")
            log = os.path.join(work, "daemon.log")
            mount(fs, log)
            check_hang(fs, disk, log)
            fs.umount()
            fs.check()


if __name__ == "__main__":
    harness.run_script(main)
