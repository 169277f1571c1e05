#!/usr/bin/env python3
"""cp and rsync --inplace into a mount whose daemon is killed: files that they did not touch are
whole, what they had begun can be read, and the same command finishes the work afterwards.

ROUNDS.
"""

import os
import shutil
import subprocess

import app_crash
import harness

FILES = 120
RSYNC = ("rsync", "--outbuf=L", "-a", "--inplace", "--no-whole-file", "--checksum", "--delete",
         "-v")


def make_tree(root, source):
    for number in range(FILES):
        directory = os.path.join(root, f"dir{number % 7}")
        os.makedirs(directory, exist_ok=True)
        size = source.randrange(source.choice((2_000, 60_000, 600_000)))
        with open(os.path.join(directory, f"file{number}"), "wb") as file:
            file.write(source.randbytes(size))


def change_some(root, source):
    """Paths, relative to root, of the files that are others now."""
    changed = []
    for directory, _, names in sorted(os.walk(root)):
        for name in sorted(names):
            path = os.path.join(directory, name)
            if source.random() < 0.4:
                with open(path, "r+b") as file:
                    file.seek(source.randrange(1 + os.path.getsize(path)))
                    file.write(source.randbytes(source.randrange(1, 50_000)))
                changed.append(os.path.relpath(path, root))
    return changed


def compare_untouched(before, target, touched):
    """Every file but the touched ones is as in `before`."""
    compared = 0
    for directory, _, names in os.walk(before):
        for name in names:
            path = os.path.relpath(os.path.join(directory, name), before)
            if path in touched:
                continue
            with open(os.path.join(before, path), "rb") as wanted, \
                    open(os.path.join(target, path), "rb") as found:
                assert wanted.read() == found.read(), f"{path}: not touched, and other content"
            compared += 1
    return compared


def read_everything(root):
    for directory, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                while file.read(1 << 20):
                    pass


def round_of_cp(fs, tree, number, source):
    steps = source.randrange(1, FILES)
    target = fs.join(f"copy{number}")
    app_crash.kill_during(fs, ["stdbuf", "-oL", "cp", "-a", "-v", tree, target], steps)
    app_crash.recover(fs)
    read_everything(fs.path)
    untouched = compare_untouched(tree, fs.join("tree"), ())
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", tree, target], check=True)
    harness.compare_trees(tree, target)
    shutil.rmtree(target)
    print(f"round {number}: cp killed after {steps} files, {untouched} others whole", flush=True)


def round_of_rsync(fs, tree, before, number, source):
    """`before` is what the mount holds in "tree"; `tree` becomes the next version of it."""
    changed = change_some(tree, source)
    steps = source.randrange(1, max(2, len(changed)))
    command = [*RSYNC, tree + "/", fs.join("tree") + "/"]
    app_crash.kill_during(fs, command, steps)
    app_crash.recover(fs)
    read_everything(fs.path)
    untouched = compare_untouched(before, fs.join("tree"), set(changed))
    subprocess.run(command, check=True, capture_output=True)
    harness.compare_trees(tree, fs.join("tree"))
    fs.sync()
    subprocess.run([*RSYNC, tree + "/", before + "/"], check=True, capture_output=True)
    print(f"round {number}: rsync killed after {steps} lines, {len(changed)} files changed, "
          f"{untouched} others whole", flush=True)


def main():
    app_crash.need("rsync")
    source = harness.seeded_random()
    with harness.work_directory() as directory, \
            app_crash.MountedStore(directory, app_crash.SOON_MS) as fs:
        tree, before = os.path.join(directory, "tree"), os.path.join(directory, "before")
        make_tree(tree, source)
        shutil.copytree(tree, before)
        subprocess.run(["cp", "-a", tree, fs.join("tree")], check=True)
        fs.sync()
        for number in range(1, app_crash.ROUNDS + 1):
            round_of_cp(fs, tree, number, source)
            round_of_rsync(fs, tree, before, number, source)
        app_crash.finish(fs)


if __name__ == "__main__":
    app_crash.run(main)
