"""What the kernel says of this machine, of a process and of a folder."""

import ctypes
import errno
import os
import platform
import re
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")


def first_line(path, prefix=""):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return next((line.strip() for line in file if line.startswith(prefix)), "")
    except OSError:
        return ""


def kernel_cpu_s():
    """Seconds that all CPUs have spent in the kernel, with interrupts."""
    fields = first_line("/proc/stat", "cpu ").split()
    return (int(fields[3]) + int(fields[6]) + int(fields[7])) / TICKS


def user_cpu_s(pid):
    """Seconds that a process has spent in user mode, and in the kernel."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def peak_memory_bytes(pid):
    fields = first_line(f"/proc/{pid}/status", "VmHWM:").split()
    return int(fields[1]) * 1024 if len(fields) > 1 else 0


def disk_bytes(path):
    """What a folder or a file takes on the disk; hard links count once."""
    total, seen = 0, set()
    stack = [path]
    while stack:
        current = stack.pop()
        info = os.lstat(current)
        if (info.st_dev, info.st_ino) in seen:
            continue
        seen.add((info.st_dev, info.st_ino))
        total += info.st_blocks * 512
        if os.path.isdir(current) and not os.path.islink(current):
            with os.scandir(current) as entries:
                stack.extend(entry.path for entry in entries)
    return total


def sync_file_system(path):
    """Writes back what is dirty in the file system that holds `path`, and in that one only."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY)
    try:
        # A pass-through that opens files by handle or by name has none for the times of a file that
        # was removed meanwhile. Everything else was written nevertheless, and the error is told once.
        if libc.syncfs(fd) != 0 and (ctypes.get_errno() != errno.ESTALE or libc.syncfs(fd) != 0):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(fd)


def drop_caches():
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def unescaped(field):
    """The kernel writes space, tab, newline, backslash of a path as \\040, \\011, \\012, \\134."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def mounts():
    """The path and the type of every mount."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            left, _, right = line.partition(" - ")
            yield unescaped(left.split(" ")[4]), right.split(" ")[0]


def is_mount_point(path):
    """Also where the daemon is dead, unlike os.path.ismount."""
    path = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
    return any(place == path for place, _ in mounts())


def file_system_of(path):
    path = os.path.realpath(path)
    best = ("", "unknown")
    for place, kind in mounts():
        inside = path == place or path.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]


def commit_of(checkout):
    """What git calls the state of a checkout; None where it is none."""
    if not os.path.exists(os.path.join(checkout, ".git")):
        return None
    try:
        return run("git", "-C", checkout, "describe", "--always", "--dirty").strip()
    except (OSError, RuntimeError):
        return None


def describe(directory):
    """One line that belongs beside every figure."""
    cpu = first_line("/proc/cpuinfo", "model name").partition(":")[2].strip() or platform.machine()
    memory_kib = int(first_line("/proc/meminfo", "MemTotal:").split()[1])
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return (f"{cpu}, {cores} cores, {memory_kib / 2**20:.1f} GiB, Linux {platform.release()}, "
            f"{file_system_of(directory)}, load {load:.1f}")


def run(*command, cwd=None, env=None):
    """Runs a command quietly; an error carries what it printed."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout
