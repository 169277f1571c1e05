"""4 KiB reads and writes at random places: by fio where it is installed, else by ourselves."""

import json
import os
import random
import shutil
import time

import machine

BLOCK = 4096


def engine():
    return "fio" if shutil.which("fio") else "python"


def run(paths, mode, operations, fsync_each, seed):
    """One process for each file does `operations` of `mode` ("read" or "write"). The files are
    there already; `seed` gives every contender the same places. Returns (operations, seconds)."""
    if engine() == "fio":
        return run_fio(paths, mode, operations, fsync_each, seed)
    return run_python(paths, mode, operations, fsync_each, seed)


def run_fio(paths, mode, operations, fsync_each, seed):
    command = ["fio", "--output-format=json", "--ioengine=psync", "--bs=4k", f"--rw=rand{mode}",
               "--thread=0", "--invalidate=0", "--allow_file_create=0", f"--randseed={seed + 1}",
               "--refill_buffers=1", "--end_fsync=0", f"--io_size={operations * BLOCK}"]
    if fsync_each:
        command.append("--fsync=1")
    for number, path in enumerate(paths):
        command += [f"--name=job{number}", f"--filename={path}",
                    f"--size={os.path.getsize(path)}"]
    text = machine.run(*command)
    jobs = json.loads(text[text.index("{"):])["jobs"]
    longest_ms = max(max(job["job_runtime"], 1) for job in jobs)
    return sum(job[mode]["total_ios"] for job in jobs), longest_ms / 1000


def run_python(paths, mode, operations, fsync_each, seed):
    begin = time.perf_counter()
    children = []
    for number, path in enumerate(paths):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(path, mode, operations, fsync_each, f"{seed}/{number}")
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(children)} writers failed")
    return operations * len(paths), time.perf_counter() - begin


def work(path, mode, operations, fsync_each, seed):
    source = random.Random(seed)
    blocks = os.path.getsize(path) // BLOCK
    data = bytearray(source.randbytes(BLOCK))
    fd = os.open(path, os.O_RDWR)
    for number in range(operations):
        place = source.randrange(blocks) * BLOCK
        if mode == "read":
            os.pread(fd, BLOCK, place)
        else:
            data[:8] = number.to_bytes(8, "little")
            os.pwrite(fd, data, place)
        if fsync_each:
            os.fsync(fd)
    os.close(fd)
