#!/usr/bin/env python3
"""git commit and git gc on a mount whose daemon is killed: `git fsck` finds nothing, the last
acknowledged commit is there, and its tree is what was committed. ROUNDS."""

import os
import subprocess

import app_crash
import harness

FILES = 40
MAX_STEPS = 400  # lines of git's own trace
# git by default leaves loose objects and refs to the file system's mercy.
CONFIG = {"core.fsync": "all", "core.fsyncMethod": "fsync", "user.name": "test",
          "user.email": "test@localhost", "gc.auto": "0", "gc.autoDetach": "false"}
TRACE = {"GIT_TRACE2_EVENT": "1"}  # to standard error
MAINTENANCE = (("gc", "-q", "--prune=now"), ("repack", "-q", "-a", "-d", "-f"),
               ("pack-refs", "--all"))
# What a killed git leaves, and the next one takes for another that runs.
LOCKS = (".lock", "gc.pid", "packed-refs.new")


def git(path, *arguments, quiet=True):
    options = {"capture_output": True} if quiet else {}
    return subprocess.run(["git", "-C", path, *arguments], check=True, text=True,
                          env=os.environ if not quiet else
                          {k: v for k, v in os.environ.items() if k not in TRACE}, **options)


def head(path):
    return git(path, "rev-parse", "HEAD").stdout.strip()


def change_files(path, source):
    for _ in range(1 + source.randrange(5)):
        name = os.path.join(path, f"dir{source.randrange(4)}", f"file{source.randrange(FILES)}")
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w", encoding="ascii") as file:
            for _ in range(source.randrange(1, 400)):
                file.write(f"line {source.randrange(1000)}\n")


def work(arguments):
    path = arguments[0]
    source = harness.random.Random(arguments[1])
    heads = os.path.join(path, ".git", "refs", "heads")
    while True:
        change_files(path, source)
        app_crash.say("commit")
        git(path, "add", "-A", quiet=False)
        git(path, "commit", "-q", "--allow-empty", "-m", "more", quiet=False)
        commit = head(path)
        # git renames the ref into its place, and does not sync the directory.
        directory = os.open(heads, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)
        app_crash.say(f"{app_crash.ACK}{commit}")
        if source.random() < 0.4:
            git(path, *source.choice(MAINTENANCE), quiet=False)


def prepare(fs, path):
    subprocess.run(["git", "init", "-q", "-b", "main", path], check=True)
    for key, value in CONFIG.items():
        git(path, "config", key, value)
    git(path, "commit", "-q", "--allow-empty", "-m", "first")
    fs.sync()


def remove_locks(path):
    """A process that was killed leaves them, on any file system; the user removes them."""
    for directory, _, names in os.walk(os.path.join(path, ".git")):
        for name in names:
            if name.endswith(LOCKS):
                os.unlink(os.path.join(directory, name))


def verify(path, acked):
    remove_locks(path)
    done = subprocess.run(["git", "-C", path, "fsck", "--full", "--strict"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, f"git fsck: {done.stdout}{done.stderr}"
    # The acknowledged commit, or one after it.
    git(path, "merge-base", "--is-ancestor", acked, "HEAD")
    git(path, "reset", "-q", "--hard", "HEAD")
    assert git(path, "status", "--porcelain", "--untracked-files=no").stdout == ""


def main():
    app_crash.need("git")
    source = harness.seeded_random()
    with harness.work_directory() as directory, \
            app_crash.MountedStore(directory, app_crash.LATE_MS) as fs:
        path = fs.join("repository")
        prepare(fs, path)
        acked = head(path)
        for number in range(1, app_crash.ROUNDS + 1):
            steps = source.randrange(1, source.choice((60, MAX_STEPS)))
            command = app_crash.worker_command(__file__, path, source.getrandbits(32))
            done = app_crash.kill_during(fs, command, steps, TRACE)
            app_crash.recover(fs)
            acked = done.acked or acked
            verify(path, acked)
            count = git(path, "rev-list", "--count", "HEAD").stdout.strip()
            print(f"round {number}: killed after {steps} steps, {count} commits", flush=True)
        app_crash.finish(fs)


if __name__ == "__main__":
    app_crash.run(main, work)
