#!/usr/bin/env python3
"""SQLite on a mount whose daemon is killed: every committed transaction is there, whole, and
nothing of any other; SQLite's own integrity check finds nothing.

JOURNAL_MODE (delete, wal) and ROUNDS.
"""

import os
import random
import sqlite3

import app_crash
import harness

JOURNAL_MODE = os.environ.get("JOURNAL_MODE", "delete")
MAX_TRANSACTIONS = 60  # of a round
KEYS = 300


def connect(path):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA journal_mode = {JOURNAL_MODE}")
    # EXTRA: the directory is synced too after the journal was deleted, which ends a transaction.
    database.execute("PRAGMA synchronous = EXTRA")
    database.execute("PRAGMA wal_autocheckpoint = 40")
    return database


def changes_of(seed, number):
    """[(key, value or None)]: what transaction `number` does."""
    source = random.Random(f"{seed}-{number}")
    return [(source.randrange(KEYS),
             None if source.random() < 0.2 else source.randbytes(source.randrange(9000)))
            for _ in range(1 + source.randrange(8))]


def work(arguments):
    path, seed, number = arguments[0], arguments[1], int(arguments[2])
    database = connect(path)
    while True:
        number += 1
        app_crash.say("begin")
        database.execute("BEGIN IMMEDIATE")
        for key, value in changes_of(seed, number):
            app_crash.say("change")
            if value is None:
                database.execute("DELETE FROM pairs WHERE key = ?", (key,))
            else:
                database.execute("REPLACE INTO pairs VALUES (?, ?)", (key, value))
        database.execute("UPDATE state SET number = ?", (number,))
        app_crash.say("commit")
        database.execute("COMMIT")
        app_crash.say(f"{app_crash.ACK}{number}")


class Model:
    """The table after a number of transactions."""

    def __init__(self, seed):
        self.seed, self.number, self.pairs = seed, 0, {}

    def advance(self, number):
        while self.number < number:
            self.number += 1
            for key, value in changes_of(self.seed, self.number):
                if value is None:
                    self.pairs.pop(key, None)
                else:
                    self.pairs[key] = value


def prepare(fs, path):
    database = connect(path)
    database.execute("CREATE TABLE pairs (key INTEGER PRIMARY KEY, value BLOB)")
    database.execute("CREATE INDEX by_value ON pairs (value)")
    database.execute("CREATE TABLE state (number INTEGER)")
    database.execute("INSERT INTO state VALUES (0)")
    database.close()
    fs.sync()


def verify(path, acked, model):
    database = connect(path)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    number = database.execute("SELECT number FROM state").fetchone()[0]
    # One more may have been committed whose acknowledgement did not come.
    assert acked <= number <= acked + 1, f"transaction {acked} was acknowledged, found {number}"
    model.advance(number)
    found = dict(database.execute("SELECT key, value FROM pairs").fetchall())
    assert found == model.pairs, f"other content than after transaction {number}"
    database.close()


def main():
    source = harness.seeded_random()
    interval_ms = source.choice((app_crash.SOON_MS, app_crash.LATE_MS))
    with harness.work_directory() as directory, \
            app_crash.MountedStore(directory, interval_ms) as fs:
        path = fs.join("database")
        prepare(fs, path)
        model = Model(source.getrandbits(32))
        for number in range(1, app_crash.ROUNDS + 1):
            steps = source.randrange(1, 8 * source.choice((2, MAX_TRANSACTIONS)))
            command = app_crash.worker_command(__file__, path, model.seed, model.number)
            done = app_crash.kill_during(fs, command, steps)
            app_crash.recover(fs)
            before = model.number
            verify(path, int(done.acked or before), model)
            print(f"round {number}: killed after {steps} steps, transactions {before} to "
                  f"{model.number}", flush=True)
        app_crash.finish(fs)


if __name__ == "__main__":
    app_crash.run(main, work)
