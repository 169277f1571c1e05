#!/usr/bin/env python3
"""A PostgreSQL cluster under pgbench on a mount whose daemon is killed: it recovers, acknowledged
transactions are there, pgbench's sums agree, and pg_amcheck finds nothing. ROUNDS."""

import glob
import os
import shutil
import subprocess
import threading

import app_crash
import harness

USER = "postgres"
SCALE = "2"
MAX_ACKS = 400  # of a round
READY = "database system is ready to accept connections"
SERVER = ("-c", "listen_addresses=", "-c", "log_min_messages=log", "-c", "shared_buffers=16MB",
          "-c", "checkpoint_timeout=30s", "-c", "max_wal_size=64MB")
SUMS = ("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM "
        "pgbench_branches), (SELECT sum(tbalance) FROM pgbench_tellers), "
        "(SELECT coalesce(sum(delta), 0) FROM pgbench_history)")


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_amcheck"))
    if not found:
        raise harness.Skip("postgresql", "pg_amcheck is not installed")
    return os.path.dirname(found[-1])


class Cluster:
    def __init__(self, binaries, data, socket):
        self.binaries, self.data, self.socket = binaries, data, socket
        self.server = None
        self.reader = None
        self.log = []

    def command(self, name, *arguments):
        return [os.path.join(self.binaries, name), *arguments]

    def environment(self):
        return dict(os.environ, PGHOST=self.socket, PGUSER=USER, PGDATABASE=USER, LC_ALL="C")

    def run(self, name, *arguments):
        done = subprocess.run(self.command(name, *arguments), capture_output=True, text=True,
                              check=False, user=USER, group=USER, extra_groups=[],
                              cwd="/", env=self.environment())
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def query(self, text):
        return self.run("psql", "-X", "-A", "-t", "-q", "-c", text)

    def start(self):
        """Returns once the cluster is recovered and open; raises if it ends instead."""
        self.log = []
        self.server = subprocess.Popen(
            self.command("postgres", "-D", self.data, "-k", self.socket, *SERVER),
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            user=USER, group=USER, extra_groups=[], cwd="/", env=self.environment())
        ready = threading.Event()
        self.reader = threading.Thread(target=self.read_log, args=(self.server.stderr, ready))
        self.reader.start()
        ready.wait()
        assert any(READY in line for line in self.log), "no recovery:\n" + "".join(self.log)

    def read_log(self, stream, ready):
        with stream:
            for line in stream:
                self.log = (self.log + [line])[-200:]
                if READY in line:
                    ready.set()
        ready.set()

    def stop(self, number):
        """By a signal: SIGINT ends it well, SIGQUIT at once."""
        if self.server is None:
            return
        self.server.send_signal(number)
        self.server.wait()
        self.reader.join()
        self.server = None


def prepare(fs, cluster):
    for directory in (cluster.data, cluster.socket):
        os.mkdir(directory)
        shutil.chown(directory, USER, USER)
    cluster.run("initdb", "-D", cluster.data, "-k", "-A", "trust", "-U", USER)
    cluster.start()
    cluster.run("pgbench", "-i", "-q", "-s", SCALE)
    cluster.query("CREATE TABLE acks (number integer PRIMARY KEY)")
    cluster.query("CREATE EXTENSION amcheck")
    fs.sync()


def write_inserts(path, first):
    with open(path, "w", encoding="ascii") as file:
        for number in range(first, first + 2 * MAX_ACKS):
            file.write(f"INSERT INTO acks VALUES ({number});\n\\echo {app_crash.ACK}{number}\n")
    os.chmod(path, 0o644)


def kill_under_load(fs, cluster, script, steps):
    load = subprocess.Popen(cluster.command("pgbench", "-n", "-c", "4", "-j", "2", "-T", "3600"),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=USER,
                            group=USER, extra_groups=[], cwd="/", env=cluster.environment())
    try:
        inserts = ["stdbuf", "-oL", *cluster.command("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1",
                                                     "-f", script)]
        return app_crash.kill_during(fs, inserts, steps, cluster.environment())
    finally:
        load.kill()
        load.wait()
        cluster.stop(harness.signal.SIGQUIT)


def verify(cluster, acked):
    found = int(cluster.query("SELECT coalesce(max(number), 0) FROM acks"))
    assert acked <= found <= acked + 1, f"insert {acked} was acknowledged, found {found}"
    assert int(cluster.query("SELECT count(*) FROM acks")) == found
    sums = cluster.query(SUMS).split("|")
    assert len(set(sums)) == 1, f"pgbench's sums differ: {sums}"
    cluster.run("pg_amcheck", "--database", USER, "--heapallindexed", "--parent-check")
    return found


def main():
    if os.geteuid() != 0:
        raise harness.Skip("root", "PostgreSQL runs as another user on the mount")
    source = harness.seeded_random()
    binaries = programs()
    with harness.work_directory() as directory, \
            app_crash.MountedStore(directory, app_crash.LATE_MS) as fs:
        os.chmod(directory, 0o755)
        cluster = Cluster(binaries, fs.join("data"), os.path.join(directory, "socket"))
        try:
            prepare(fs, cluster)
            acked = 0
            script = os.path.join(directory, "inserts.sql")
            for number in range(1, app_crash.ROUNDS + 1):
                steps = source.randrange(1, source.choice((20, MAX_ACKS)))
                write_inserts(script, acked + 1)
                done = kill_under_load(fs, cluster, script, steps)
                app_crash.recover(fs)
                cluster.start()
                acked = verify(cluster, int(done.acked or acked))
                print(f"round {number}: killed after {steps} inserts, {acked} are there",
                      flush=True)
            cluster.stop(harness.signal.SIGINT)
            app_crash.finish(fs)
        finally:
            cluster.stop(harness.signal.SIGQUIT)


if __name__ == "__main__":
    app_crash.run(main)
