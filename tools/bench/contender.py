"""What every contender can do, and what a daemon that serves one needs."""

import os
import shutil
import subprocess
import time

import machine
from bench_row import FILE_SYSTEM, NotHere

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 300  # it may have much to write


class NotBuilt(RuntimeError):
    pass


def need_program(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise NotHere(name, "not installed")
    return path


def need_built(name, path):
    """It is our own, so that it is missing is no matter of the machine."""
    if not (os.path.isfile(path) and os.access(path, os.X_OK)):
        raise NotBuilt(f"{path} is no program: build it, or name another by --{name}")


def first_line_of(*command):
    """What a program prints first when asked for its version; None where it does not answer."""
    try:
        lines = machine.run(*command).splitlines()
    except (OSError, RuntimeError):
        return None
    return lines[0].strip() if lines else None


def need_fuse():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        raise NotHere("fuse", error.strerror) from error


def need_root():
    if os.geteuid() != 0:
        raise NotHere("root", "it mounts a file system")


class Contender:
    """A plain directory of the disk, and the base of the others."""

    name = "disk"
    kind = FILE_SYSTEM

    def __init__(self, root, options):
        self.root = os.path.join(root, self.name)
        self.options = options
        self.backing = os.path.join(self.root, "backing")
        self.path = os.path.join(self.root, "mnt")  # where the rows work
        self.peak_bytes = 0

    def check(self):
        """Raises NotHere where this machine cannot run it."""

    def version(self):
        """What its program calls itself, or None."""
        return None

    def make(self):
        os.makedirs(self.backing)
        self.path = self.backing

    def start(self):
        pass

    def stop(self):
        pass

    def pid(self):
        return None

    def renew(self):
        """Empty again: what an earlier row stored must not make this row's data duplicate."""
        self.note_memory()
        self.stop()
        if machine.is_mount_point(self.path):
            raise RuntimeError(f"{self.name} is still mounted")
        shutil.rmtree(self.root)
        self.make()
        self.start()

    def note_memory(self):
        if self.pid() is not None:
            self.peak_bytes = max(self.peak_bytes, machine.peak_memory_bytes(self.pid()))

    def settle(self):
        """Everything that was written so far is on the disk, and nothing is left to do for it."""
        machine.sync_file_system(self.path)
        machine.sync_file_system(self.root)

    def make_cold(self):
        """Neither the kernel nor the daemon remembers anything."""
        self.settle()
        self.note_memory()
        self.stop()
        machine.drop_caches()
        self.start()

    def disk_bytes(self):
        return machine.disk_bytes(self.backing)

    def compress_more(self):
        """Does now what the background does later, while nobody works; false if there is none."""
        return False


class Mounted(Contender):
    """A file system that a daemon of its own serves, in the foreground as our child. Who derives
    gives command(), its command line, or a start() of another kind."""

    def __init__(self, root, options):
        super().__init__(root, options)
        self.daemon = None
        self.log = os.path.join(self.root, "daemon.log")

    def check(self):
        need_fuse()

    def make(self):
        os.makedirs(self.backing)
        os.makedirs(self.path)

    def pid(self):
        return self.daemon.pid if self.daemon is not None else None

    def is_mounted(self):
        return machine.is_mount_point(self.path)

    def start(self):
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(self.command(), stdout=log, stderr=log,
                                           stdin=subprocess.DEVNULL)
        self.wait_for(self.is_mounted, "mount")
        os.statvfs(self.path)

    def wait_for(self, done, what):
        end = time.monotonic() + START_TIMEOUT_S
        while not done():
            if self.daemon.poll() is not None or time.monotonic() > end:
                with open(self.log, encoding="utf-8", errors="replace") as log:
                    raise RuntimeError(f"{self.name} does not {what}:\n{log.read()[-2000:]}")
            time.sleep(0.02)

    def unmount(self):
        machine.run("umount", self.path)

    def stop(self):
        if self.daemon is None:
            return
        try:
            if self.daemon.poll() is None and self.is_mounted():
                self.unmount()
                self.daemon.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{self.name} does not end") from error
        finally:
            self.end_daemon()

    def end_daemon(self):
        """Whatever state it is in, neither it nor its mount stays behind."""
        if self.daemon.poll() is None:
            self.daemon.kill()
        self.daemon.wait()
        self.daemon = None
        if self.is_mounted():
            machine.run("umount", "-l", self.path)
