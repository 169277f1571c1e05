"""A DedupFS store that grows and is never renewed, and what can be asked of it."""

import json
import os
import shutil
import subprocess
import time

import grow_tables
import machine
from bench_context import Bench
from bench_row import ROWS, NotHere
from contenders import Dedupfs

# Rewriting of cold packs would run beside the rows, longer in a larger store.
CONFIGURATION = "recompress_level = 0\n"
POLL_S = 0.5
QUIET_POLLS = 3
QUIET_TIMEOUT_S = 1800
MOUNT_TIMEOUT_S = 300
MOUNT_POLL_S = 0.002


class Grown(Dedupfs):
    """`what` grows: "chunks" or "files". The store lies in the folder `name`."""

    def __init__(self, root, options, what, name):
        self.name = name
        super().__init__(root, options)
        self.what = what
        self.mount_s = 0

    def check(self):
        super().check()
        if not os.access(self.options.grow_store, os.X_OK):
            raise NotHere("grow_store", f"{self.options.grow_store} is not built")

    def make(self):
        if os.path.exists(os.path.join(self.backing, "format")):
            return
        super().make()
        with open(os.path.join(self.backing, "dedupfs.toml"), "w", encoding="ascii") as file:
            file.write(CONFIGURATION)

    def copy_of(self, other):
        """Becomes what `other`, which is not mounted, is now."""
        shutil.rmtree(self.root, ignore_errors=True)
        os.makedirs(self.path)
        machine.run("cp", "-a", "--reflink=auto", other.backing, self.backing)

    def start(self):
        """Notes how long it took until the mount answered statfs."""
        begin = time.perf_counter()
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(self.command(), stdout=log, stderr=log,
                                           stdin=subprocess.DEVNULL)
        while not self.is_mounted():
            if self.daemon.poll() is not None or time.perf_counter() - begin > MOUNT_TIMEOUT_S:
                raise RuntimeError(f"{self.name}: no mount; see {self.log}")
            time.sleep(MOUNT_POLL_S)
        os.statvfs(self.path)
        self.mount_s = time.perf_counter() - begin

    def restart_cold(self):
        self.stop()
        machine.drop_caches()
        self.start()

    def kill_and_start_cold(self):
        """What a mount takes that has to recover: the daemon was killed."""
        self.daemon.kill()
        self.end_daemon()
        machine.drop_caches()
        self.start()

    def grow(self, target):
        """What was added, and in how many seconds; progress goes to standard error."""
        done = subprocess.run([self.options.grow_store, self.backing, self.what, str(target)],
                              stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"grow_store: exit {done.returncode}")
        return json.loads(done.stdout)

    def stats(self):
        return json.loads(machine.run(self.options.dedupfs, "stats", "--json", self.backing))

    def wait_until_quiet(self):
        """The database has stopped to merge tables: its size stays."""
        end = time.monotonic() + QUIET_TIMEOUT_S
        sizes = []
        while time.monotonic() < end:
            sizes.append(self.stats()["metadata_bytes"])
            if len(sizes) >= QUIET_POLLS and len(set(sizes[-QUIET_POLLS:])) == 1:
                return
            time.sleep(POLL_S)
        raise RuntimeError(f"{self.name}: the database does not come to rest")

    def families(self):
        return grow_tables.by_family(os.path.join(self.backing, "db"))

    def memory_bytes(self):
        return int(machine.first_line(f"/proc/{self.pid()}/status", "VmRSS:").split()[1]) * 1024

    def run_row(self, name, work):
        """One row; what it leaves is removed, so that the store keeps its size."""
        folder = os.path.join(self.path, name)
        shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
        bench = Bench(self, work, name)
        try:
            ROWS[name].run(bench)
        except NotHere:
            self.remove(folder)
            raise
        self.remove(folder)
        return bench.sample

    def remove(self, folder):
        shutil.rmtree(folder)
        machine.run(self.options.dedupfs, "reclaim", self.backing)
