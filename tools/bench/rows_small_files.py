"""Many files of 4 KiB, 1,000 in a folder."""

import os

from bench_context import TURNS
from bench_row import row
from workload import MIB

FILE_BYTES = 4096
FILES_PER_FOLDER = 1000


def make_folders(bench):
    count = (bench.work.small_files + FILES_PER_FOLDER - 1) // FILES_PER_FOLDER
    for number in range(count):
        os.mkdir(bench.join(str(number)))


def paths(bench):
    return [bench.join(str(number // FILES_PER_FOLDER), str(number))
            for number in range(bench.work.small_files)]


def content(bench):
    return bench.work.incompressible("small", max(bench.work.small_files * FILE_BYTES, MIB))


def create(files, data):
    view = memoryview(data)
    for number, path in enumerate(files):
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        os.write(fd, view[number * FILE_BYTES:(number + 1) * FILE_BYTES])
        os.close(fd)
    view.release()


def prepare(bench):
    make_folders(bench)
    files = paths(bench)
    create(files, content(bench))
    return files


def list_all(bench):
    """As `ls -l` does: names and attributes of each folder."""
    found = 0
    for folder in os.listdir(bench.folder):
        with os.scandir(bench.join(folder)) as entries:
            for entry in entries:
                found += entry.stat(follow_symlinks=False).st_size > 0
    return found


@row("create_small", "files/s")
def create_small(bench):
    """Create, write 4 KiB, close: no fsync."""
    make_folders(bench)
    files, data = paths(bench), content(bench)
    with bench.timed(len(files), len(files) * FILE_BYTES, stores=True):
        create(files, data)


@row("stat_cached", "op/s")
def stat_cached(bench):
    """lstat of every file by its path, again and again, after the same was done once."""
    files = prepare(bench)
    for path in files:
        os.lstat(path)
    with bench.timed(len(files) * TURNS):
        for _ in range(TURNS):
            for path in files:
                os.lstat(path)


@row("stat_cold", "op/s")
def stat_cold(bench):
    """lstat of every file, mounted anew and caches dropped."""
    files = prepare(bench)
    with bench.timed(len(files), cold=True):
        for path in files:
            os.lstat(path)


@row("readdir_cached", "files/s")
def readdir_cached(bench):
    """Names and attributes of every folder, again and again, after the same was done once."""
    files = prepare(bench)
    list_all(bench)
    with bench.timed(len(files) * TURNS):
        found = sum(list_all(bench) for _ in range(TURNS))
    assert found == len(files) * TURNS


@row("readdir_cold", "files/s")
def readdir_cold(bench):
    """Names and attributes of every folder, mounted anew and caches dropped."""
    files = prepare(bench)
    with bench.timed(len(files), cold=True):
        found = list_all(bench)
    assert found == len(files)


@row("delete_small", "files/s")
def delete_small(bench):
    """unlink of every file."""
    files = prepare(bench)
    with bench.timed(len(files)):
        for path in files:
            os.unlink(path)
