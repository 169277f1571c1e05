"""What is compared: a directory of the disk, FUSE file systems over it, and two archivers."""

import os
import shutil
import subprocess
import time

import machine
from bench_row import ARCHIVE, NotHere
from contender import (START_TIMEOUT_S, Contender, Mounted, first_line_of, need_built, need_program,
                       need_root)


class Passthrough(Mounted):
    name = "passthrough"

    def check(self):
        need_built(self.name, self.options.passthrough)
        super().check()

    def command(self):
        return [self.options.passthrough, self.backing, self.path]


class Bindfs(Mounted):
    name = "bindfs"

    def check(self):
        super().check()
        need_program("bindfs")

    def version(self):
        return first_line_of(need_program("bindfs"), "--version")

    def command(self):
        return [need_program("bindfs"), "-f", "--multithreaded", self.backing, self.path]


class Mergerfs(Mounted):
    name = "mergerfs"

    def check(self):
        super().check()
        need_program("mergerfs")

    def version(self):
        return first_line_of(need_program("mergerfs"), "--version")

    def command(self):
        return [need_program("mergerfs"), "-f", "-o", "cache.files=auto-full,cache.writeback=true",
                self.backing, self.path]


class Dedupfs(Mounted):
    name = "dedupfs"

    def check(self):
        need_built("dedupfs", self.options.dedupfs)
        super().check()

    def version(self):
        return first_line_of(self.options.dedupfs, "--version")

    def make(self):
        os.makedirs(self.path)
        os.makedirs(self.backing)
        machine.run(self.options.dedupfs, "format", self.backing)

    def command(self):
        return [self.options.dedupfs, "mount", "-f", self.backing, self.path]

    def settle(self):
        machine.sync_file_system(self.path)
        machine.run(self.options.dedupfs, "sync", self.backing)
        machine.sync_file_system(self.root)

    def compress_more(self):
        machine.run(self.options.dedupfs, "recompress", self.backing)
        self.settle()
        return True

    def unmount(self):
        machine.run(self.options.dedupfs, "umount", self.path)


class Image(Mounted):
    """A file system of its own inside one sparse file of the disk."""

    image_bytes = 64 << 30

    def __init__(self, root, options):
        super().__init__(root, options)
        self.image = os.path.join(self.root, "image")

    def make_image(self):
        os.makedirs(self.path)
        with open(self.image, "wb") as file:
            file.truncate(self.image_bytes)

    def disk_bytes(self):
        return machine.disk_bytes(self.image)


EXPORT_TIMEOUT_S = 10
EXPORT_POLL_S = 0.1


class ZfsFuse(Image):
    name = "zfs-fuse"

    def __init__(self, root, options):
        super().__init__(root, options)
        self.pool = f"dedupfs-bench-{os.getpid()}"

    def check(self):
        super().check()
        need_root()
        need_program("zfs-fuse")
        if machine.run("ps", "-eo", "comm").split().count("zfs-fuse") > 0:
            raise NotHere("zfs-fuse", "another one runs already")

    def version(self):
        """The program does not tell it."""
        return first_line_of("dpkg-query", "-W", "-f", "${Package} ${Version}", "zfs-fuse")

    def start_daemon(self):
        os.makedirs("/var/run/zfs", exist_ok=True)
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen([need_program("zfs-fuse"), "--no-daemon"], stdout=log,
                                           stderr=log, stdin=subprocess.DEVNULL)
        self.wait_for(lambda: subprocess.run([need_program("zpool"), "list"], capture_output=True,
                                             check=False).returncode == 0, "answer")

    def make(self):
        self.make_image()
        self.start_daemon()
        self.destroy_left()
        machine.run(need_program("zpool"), "create", "-m", self.path, self.pool, self.image)
        for setting in ("dedup=on", "compression=on"):
            machine.run(need_program("zfs"), "set", setting, self.pool)

    def destroy_left(self):
        """Of a daemon that was killed: the next one knows the pool, whose image is gone."""
        if self.pool in machine.run(need_program("zpool"), "list", "-H", "-o", "name").split():
            machine.run(need_program("zpool"), "destroy", "-f", self.pool)

    def export(self):
        """It is busy while anyone looks at it, an indexer for example."""
        end = time.monotonic() + EXPORT_TIMEOUT_S
        while True:
            try:
                return machine.run(need_program("zpool"), "export", self.pool)
            except RuntimeError as error:
                if "busy" not in str(error) or time.monotonic() > end:
                    raise
            time.sleep(EXPORT_POLL_S)

    def start(self):
        if self.daemon is None:
            self.start_daemon()
            machine.run(need_program("zpool"), "import", "-d", self.root, self.pool)
        self.wait_for(self.is_mounted, "mount")

    def stop(self):
        if self.daemon is None:
            return
        try:
            self.export()
            self.daemon.terminate()
            self.daemon.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            pass  # its data is safe since the export
        finally:
            self.end_daemon()


class Btrfs(Image):
    """In the kernel, so without a daemon."""

    name = "btrfs"

    def check(self):
        need_root()
        need_program("mkfs.btrfs")
        with open("/proc/filesystems", encoding="ascii") as table:
            if not any(line.split()[-1] == "btrfs" for line in table):
                raise NotHere("btrfs", "the kernel has none")
        if subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode != 0:
            raise NotHere("loop", "no loop device is free")

    def version(self):
        return first_line_of(need_program("mkfs.btrfs"), "--version")

    def make(self):
        self.make_image()
        machine.run(need_program("mkfs.btrfs"), "-q", self.image)

    def start(self):
        machine.run("mount", "-o", "loop,compress=zstd", self.image, self.path)

    def stop(self):
        if self.is_mounted():
            self.unmount()


class Archive(Contender):
    """A backup program: it stores trees, and is no file system."""

    kind = ARCHIVE
    program = ""
    version_words = ("--version",)

    def check(self):
        need_program(self.program)

    def version(self):
        return first_line_of(self.program, *self.version_words)

    def make(self):
        os.makedirs(self.root)

    def environment(self):
        home = os.path.join(self.root, "home")
        return dict(os.environ, HOME=home, BORG_BASE_DIR=home, XDG_CACHE_HOME=home,
                    RESTIC_PASSWORD="bench", BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes")

    def settle(self):
        machine.sync_file_system(self.root)

    def make_repository(self):
        shutil.rmtree(self.backing, ignore_errors=True)
        shutil.rmtree(os.path.join(self.root, "home"), ignore_errors=True)
        machine.run(self.program, *self.init_words(), env=self.environment())

    def store(self, tree, name):
        machine.run(self.program, *self.store_words(name), ".", cwd=tree, env=self.environment())


class Borg(Archive):
    name = program = "borg"

    def init_words(self):
        return ["init", "--encryption=none", self.backing]

    def store_words(self, name):
        return ["create", "--compression=auto,zstd", f"{self.backing}::{name}"]


class Restic(Archive):
    name = program = "restic"
    version_words = ("version",)

    def init_words(self):
        return ["init", "--repo", self.backing]

    def store_words(self, name):
        return ["backup", "--quiet", "--tag", name, "--repo", self.backing]


ALL = {kind.name: kind for kind in (Contender, Passthrough, Bindfs, Mergerfs, ZfsFuse, Btrfs,
                                    Dedupfs, Borg, Restic)}
