"""A tree of real files: unpacked, copied, looked through by git, compiled, stored twice."""

import os
import shutil

import machine
from bench_context import TURNS
from bench_row import ARCHIVE, FILE_SYSTEM, NotHere, row

FILES_PER_COMPILATION = 10_000


def unpack(bench, folder):
    archive, count = bench.work.source_tree()
    os.mkdir(bench.join(folder))
    machine.run("tar", "-C", bench.join(folder), "-xf", archive)
    return count


@row("unpack_tree", "files/s")
def unpack_tree(bench):
    """tar -x of a tree of real files, no fsync."""
    archive, count = bench.work.source_tree()
    with bench.timed(count, os.path.getsize(archive), stores=True):
        unpack(bench, "tree")


@row("copy_tree", "files/s")
def copy_tree(bench):
    """cp -a of that tree inside the mount."""
    count = unpack(bench, "tree")
    size = os.path.getsize(bench.work.source_tree()[0])
    with bench.timed(count, size, stores=True):
        machine.run("cp", "-a", bench.join("tree"), bench.join("copy"))


@row("git_status", "files/s")
def git_status(bench):
    """git status in a repository that holds the tree, again and again; it was asked once before."""
    if shutil.which("git") is None:
        raise NotHere("git", "not installed")
    count = unpack(bench, "tree")
    git = ["git", "-C", bench.join("tree"), "-c", "user.name=bench", "-c", "user.email=bench@bench",
           "-c", "core.fsync=none", "-c", "gc.auto=0"]
    machine.run(*git, "init", "-q")
    machine.run(*git, "add", "-A", "-f")
    machine.run(*git, "commit", "-q", "-m", "tree")
    machine.run(*git, "status", "--short")
    with bench.timed(count * TURNS):
        changed = [machine.run(*git, "status", "--short") for _ in range(TURNS)]
    assert not any(changed), changed


@row("compile", "files/s")
def compile_project(bench):
    """g++ -O1 of source files of this repository, sources and objects in the mount."""
    if shutil.which("g++") is None:
        raise NotHere("g++", "not installed")
    wanted = 1 + bench.work.tree_files // FILES_PER_COMPILATION
    base, names = bench.work.project_sources(wanted)
    shutil.copytree(os.path.join(base, "chunkstore"), bench.join("chunkstore"))
    with bench.timed(len(names)):
        for number, name in enumerate(names):
            machine.run("g++", "-std=c++20", "-O1", "-pipe", f"-I{bench.folder}", "-c",
                        bench.join(name + ".cc"), "-o", bench.join(f"{number}.o"))


@row("store_versions", "MB/s", kinds=(FILE_SYSTEM, ARCHIVE))
def store_versions(bench):
    """Two versions of the tree are stored and made durable, by cp -a or as two snapshots of an
    archiver. What they take on the disk is the figure that counts."""
    trees = bench.work.versions()
    size = sum(os.path.getsize(os.path.join(directory, name)) for tree in trees
               for directory, _, names in os.walk(tree) for name in names
               if not os.path.islink(os.path.join(directory, name)))
    archive = bench.contender.kind == ARCHIVE
    if archive:
        bench.contender.make_repository()
    with bench.timed(size / 1e6, size, stores=True):
        for number, tree in enumerate(trees):
            if archive:
                bench.contender.store(tree, f"version-{number}")
            else:
                machine.run("cp", "-a", tree, bench.join(f"version-{number}"))
        bench.contender.settle()
    bench.note_compressed()
