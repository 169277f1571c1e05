"""`dedupfs check --repair` as a user runs it: dry, for real, killed in the middle, a lost pack, a
store that is mounted, one that cannot be written to, a full disk."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess

import disk_full
import harness
from harness import dedupfs

KILLS = 8
SMALL_DISK_BYTES = 64 << 20


def fill(root, rng):
    for number in range(30):
        os.makedirs(os.path.join(root, str(number % 5)), exist_ok=True)
        with open(os.path.join(root, str(number % 5), f"file {number}"), "wb") as file:
            file.write(rng.randbytes(rng.randrange(1, 200_000)))
    with open(os.path.join(root, "sparse"), "wb") as file:
        file.seek(30_000_000)
        file.write(rng.randbytes(100_000))
    os.link(os.path.join(root, "0", "file 0"), os.path.join(root, "link"))
    os.symlink("0/file 0", os.path.join(root, "symlink"))


def repair(store, *options, expect):
    return json.loads(dedupfs("check", "--repair", *options, "--json", store,
                              expect=expect).stdout)


def names_of(store):
    return sorted(name for name in os.listdir(store) if name.startswith("db"))


def files_of(store):
    """Every file of a store and what is in it, but not the pid in its lock."""
    found = {}
    for directory, _, names in os.walk(store):
        for name in names:
            path = os.path.join(directory, name)
            if path == os.path.join(store, "lock"):
                continue
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            found[os.path.relpath(path, store)] = (os.stat(path).st_mtime_ns, digest)
    return found


def lose_the_manifest(store):
    for name in os.listdir(os.path.join(store, "db")):
        if name.startswith(("MANIFEST", "CURRENT")):
            os.remove(os.path.join(store, "db", name))


def compare(mount, expected):
    mount.mount()
    count = harness.compare_trees(expected, mount.join("tree"))
    mount.umount()
    return count


def dry_run_and_repair(mount, expected):
    report = repair(mount.store, expect=0)
    assert not report["mended"] and not report["applied"] and names_of(mount.store) == ["db"]
    dedupfs("check", "--yes", mount.store, expect=2)

    lose_the_manifest(mount.store)
    dedupfs("check", mount.store, expect=3)
    before = files_of(mount.store)
    dry = repair(mount.store, expect=8)
    assert dry["database_damaged"] and not dry["applied"]
    assert files_of(mount.store) == before, "a dry run changed something"
    dedupfs("check", mount.store, expect=3)

    report = repair(mount.store, "--yes", expect=8)
    assert report["applied"] and report["kept"].endswith("db.damaged-1")
    for part in ("mended", "losses", "loss_list", "database_damaged"):
        assert report[part] == dry[part], (part, dry, report)
    assert names_of(mount.store) == ["db", "db.damaged-1"]
    assert any("list of tables" in line for line in report["loss_list"]), report
    mount.check()
    print(compare(mount, expected), "paths as before without a manifest")
    assert not repair(mount.store, expect=0)["mended"]


def kill_anywhere(mount, expected, rng):
    """However often it is killed, what follows ends as if it had not been."""
    for _ in range(KILLS):
        lose_the_manifest(mount.store)
        worker = subprocess.Popen([harness.BINARY, "check", "--repair", "--yes", mount.store],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            worker.wait(rng.uniform(0, 0.4))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
        repair(mount.store, "--yes", expect=None)
        mount.check()
    assert not [name for name in names_of(mount.store) if name.startswith("db.repair")]
    compare(mount, expected)


def refuse_what_is_mounted(mount):
    mount.mount()
    before = sorted(os.listdir(mount.store))
    for options in ([], ["--yes"]):
        said = dedupfs("check", "--repair", *options, mount.store, expect=None)
        assert said.returncode not in (0, 8), said
        assert f"unmount {mount.path} first" in said.stderr, said
    assert sorted(os.listdir(mount.store)) == before
    mount.umount()
    mount.check()


def run_out_of_space(expected, work):
    """On a disk without room for a second database, and on one that is read-only."""
    with contextlib.ExitStack() as stack:
        try:
            disk = stack.enter_context(disk_full.small_disk(work, SMALL_DISK_BYTES))
        except harness.Skip as skip:
            print(f"SKIPPED: {skip}")
            return
        mount = stack.enter_context(harness.Mount(work, os.path.join(disk, "store")))
        with open(os.path.join(mount.store, "dedupfs.toml"), "w", encoding="utf-8") as settings:
            settings.write('reserve_bytes = "0 MiB"\n')
        mount.mount_as_child()  # so that it has ended before the disk is unmounted
        subprocess.run(["cp", "-a", expected, mount.join("tree")], check=True)
        mount.umount()
        lose_the_manifest(mount.store)
        before = files_of(mount.store)
        with open(os.path.join(disk, "filler"), "wb") as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(1 << 16))
                filler.flush()
        for options in ([], ["--yes"]):
            said = dedupfs("check", "--repair", *options, mount.store, expect=None)
            assert said.returncode not in (0, 8) and "No space left" in said.stderr, said
            assert files_of(mount.store) == before, "a repair without room changed something"
        os.remove(os.path.join(disk, "filler"))

        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for options in ([], ["--yes"]):
            said = dedupfs("check", "--repair", *options, mount.store, expect=None)
            assert said.returncode not in (0, 8) and "Read-only" in said.stderr, said
        assert files_of(mount.store) == before
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)

        repair(mount.store, "--yes", expect=8)
        mount.check()
        mount.mount_as_child()
        harness.compare_trees(expected, mount.join("tree"))
        mount.umount()


def lose_a_pack(mount, expected):
    packs = os.path.join(mount.store, "packs")
    largest = max((os.path.join(packs, name) for name in os.listdir(packs)), key=os.path.getsize)
    os.rename(largest, largest + ".aside")
    before = files_of(mount.store)
    dry = dedupfs("check", "--repair", mount.store, expect=8).stdout
    assert files_of(mount.store) == before, "a dry run changed something"
    said = dedupfs("check", "--repair", "--yes", mount.store, expect=8).stdout
    assert dry.replace("to be mended: ", "mended: ").splitlines()[:-1] == said.splitlines()[:-1]
    lost = {line.split(": ")[1] for line in said.splitlines() if line.startswith("lost: ")}
    assert "/tree/0/file 5" in lost, said
    mount.mount()
    for directory, _, names in os.walk(mount.join("tree")):
        for name in names:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, mount.path)
            if os.path.islink(path) or "/" + relative in lost or os.stat(path).st_nlink > 1:
                continue
            with open(path, "rb") as file:
                content = file.read()
            with open(os.path.join(os.path.dirname(expected), relative), "rb") as file:
                assert content == file.read(), path
    # The same content, written again, heals what is lost.
    shutil.copytree(expected, mount.join("again"), symlinks=True)
    mount.umount()
    mount.mount()
    with open(mount.join("tree", "0", "file 5"), "rb") as file:
        with open(os.path.join(expected, "0", "file 5"), "rb") as original:
            assert file.read() == original.read()
    mount.umount()
    mount.check()


def main():
    harness.need_fuse()
    rng = harness.seeded_random()
    with harness.work_directory() as directory, harness.Mount(directory) as mount:
        expected = os.path.join(directory, "expected", "tree")
        fill(expected, rng)
        mount.mount()
        subprocess.run(["cp", "-a", expected, mount.join("tree")], check=True)
        mount.umount()
        mount.check()
        dry_run_and_repair(mount, expected)
        kill_anywhere(mount, expected, rng)
        refuse_what_is_mounted(mount)
        lose_a_pack(mount, expected)
        run_out_of_space(expected, directory)


if __name__ == "__main__":
    harness.run_script(main)
