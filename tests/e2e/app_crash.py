"""Kills the daemon in the middle of what an application does, and lets the application judge.

The application runs as a child process that prints a line for each step. The daemon is killed when
a random number of lines was read, so at an instant that is the application's, not the clock's. A
line "acked N" says that N is durable.
"""

import os
import subprocess
import sys

import harness

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SETTINGS = 'commit_interval_ms = {}\ndirty_budget_bytes = "16 MiB"\n'
SOON_MS, LATE_MS = 50, 5000
ACK = "acked "


def need(program):
    path = harness.shutil.which(program)
    if path is None:
        raise harness.Skip(program, "it is not installed")
    return path


class Work:
    """What a worker said: how many lines before the kill, and its last acknowledgement."""

    def __init__(self):
        self.lines, self.acked, self.tail = 0, None, []

    def take(self, line):
        self.lines += 1
        self.tail = (self.tail + [line])[-20:]
        if line.startswith(ACK):
            self.acked = line[len(ACK):].strip()


def kill_during(fs, command, steps, environment=None):
    """Runs `command`, kills the daemon after `steps` of its lines, and waits for its end.

    It has to be at work then: one that fails before the kill raises. One that is done before had
    fewer steps, and the daemon is killed right after."""
    work = Work()
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", env=dict(os.environ, **(environment or {})))
    with worker:
        for line in worker.stdout:
            work.take(line)
            if work.lines >= steps:
                break
        ended = work.lines < steps
        if ended and worker.wait() != 0:
            raise AssertionError("failed before the kill:\n" + "".join(work.tail))
        fs.kill()
        for line in worker.stdout:
            work.take(line)
    return work


def recover(fs):
    harness.dedupfs("umount", fs.path)
    fs.mount_as_child()


def finish(fs):
    fs.umount()
    fs.check()


def worker_command(script, *arguments):
    return [sys.executable, os.path.abspath(script), "--work", *map(str, arguments)]


def say(line):
    """By a worker."""
    print(line, flush=True)


class MountedStore(harness.Mount):
    """A new store, mounted as a child of this process. With a commit interval of SOON_MS a kill
    meets background commits, with LATE_MS all is lost that was not synced."""

    def __init__(self, directory, commit_interval_ms):
        super().__init__(directory)
        self.commit_interval_ms = commit_interval_ms

    def __enter__(self):
        super().__enter__()
        with open(os.path.join(self.store, "dedupfs.toml"), "w", encoding="ascii") as file:
            file.write(SETTINGS.format(self.commit_interval_ms))
        self.mount_as_child()
        return self


def run(body, work=None):
    """The main of an application's script: `work(arguments)` in the worker, else `body()`."""
    if len(sys.argv) > 1 and sys.argv[1] == "--work":
        work(sys.argv[2:])
        return
    harness.need_fuse()
    harness.run_script(body)
