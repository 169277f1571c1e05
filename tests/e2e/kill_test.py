#!/usr/bin/env python3
"""Kills the daemon at random instants under load; what was synced survives, all stays readable.

ROUNDS (20) kills. The instant is a random count of operations that the writers have begun, so a
kill lands before, inside and after every kind of operation.
"""

import os
import threading

import harness
import kill_model

ROUNDS = int(os.environ.get("ROUNDS", "20"))
WRITERS = 4
MAX_STEPS = (50, 500, 5000)  # of a round, so that kills come soon and late after a mount
# Commits in the background also come between the writes of a round, not only by fsync.
SETTINGS = 'commit_interval_ms = 20\ndirty_budget_bytes = "16 MiB"\n'
CHECK_EVERY = 5
NAMES = 30
MAX_FILE = 2 << 20
SOURCE = "/usr/include"


class StepCounter:
    """Lets one thread wait until the others have begun a number of steps."""

    def __init__(self):
        self.condition = threading.Condition()
        self.steps = 0
        self.running = WRITERS

    def step(self):
        with self.condition:
            self.steps += 1
            self.condition.notify_all()

    def ended(self):
        with self.condition:
            self.running -= 1
            self.condition.notify_all()

    def wait_for(self, steps):
        with self.condition:
            self.condition.wait_for(lambda: self.steps >= steps or self.running == 0)


def load_contents():
    """Real files to write: (bytes, ...)."""
    contents = []
    for directory, _, names in os.walk(SOURCE):
        for name in sorted(names):
            path = os.path.join(directory, name)
            if os.path.isfile(path) and os.path.getsize(path) <= MAX_FILE:
                with open(path, "rb") as file:
                    contents.append(file.read())
        if len(contents) > 2000:
            break
    assert contents, f"no files in {SOURCE}"
    return contents


class Writer(threading.Thread):
    """Works in a directory of its own until the mount is gone."""

    def __init__(self, directory, model, seed_random, contents, counter, killed):
        super().__init__(name=os.path.basename(directory))
        self.directory, self.model, self.random = directory, model, seed_random
        self.contents, self.counter, self.killed = contents, counter, killed
        self.fault = None

    def run(self):
        try:
            operations = (self.create, self.create, self.append, self.replace, self.replace,
                          self.delete)
            while True:
                self.random.choice(operations)()
        except OSError as error:
            # ENOTCONN, ECONNABORTED, and EIO of dirty pages: the daemon is gone. Before the kill
            # none of them may come.
            if not self.killed.is_set():
                self.fault = error
        except BaseException as error:  # reported by the main thread
            self.fault = error
        finally:
            self.counter.ended()

    def path(self, name):
        return os.path.join(self.directory, name)

    def pick_name(self):
        return f"file{self.random.randrange(NAMES)}"

    def pick_content(self):
        content = self.random.choice(self.contents)
        if self.random.random() < 0.1:
            content = b"".join(self.random.choices(self.contents, k=8))[:MAX_FILE]
        if self.random.random() < 0.2:
            content += self.random.randbytes(self.random.randrange(100_000))
        return content

    def write(self, name, content, flags, sync):
        self.counter.step()
        fd = os.open(self.path(name), flags | os.O_WRONLY, 0o644)
        try:
            view = memoryview(content)
            while view:
                self.counter.step()
                view = view[os.write(fd, view[:self.random.randrange(1, 200_000)]):]
            if sync:
                self.counter.step()
                os.fsync(fd)
        finally:
            os.close(fd)

    def sync_directory(self):
        self.counter.step()
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def create(self):
        name, content = self.pick_name(), self.pick_content()
        sync = self.random.random() < 0.5
        self.model.will_change(name)
        self.model.current[name] = content
        self.write(name, content, os.O_CREAT | os.O_TRUNC, sync)
        if sync:
            self.sync_directory()
            self.model.secured(name, content)

    def append(self):
        names = sorted(self.model.current)
        if not names:
            return
        name = self.random.choice(names)
        content = self.random.choice(self.contents)
        if len(self.model.current[name]) + len(content) > 2 * MAX_FILE:
            return
        sync = self.random.random() < 0.3
        self.model.will_append(name)
        self.model.current[name] += content
        self.write(name, content, os.O_APPEND, sync)
        if sync:
            self.sync_directory()
            self.model.secured(name, self.model.current[name])

    def replace(self):
        name, content = self.pick_name(), self.pick_content()
        sync = self.random.random() < 0.5
        temporary = "new-" + name
        self.model.will_change(temporary)
        self.write(temporary, content, os.O_CREAT | os.O_TRUNC, sync)
        self.model.will_replace(name, content)
        self.model.current[name] = content
        self.counter.step()
        os.rename(self.path(temporary), self.path(name))
        if sync:
            self.sync_directory()
            self.model.secured(name, content)

    def delete(self):
        names = sorted(self.model.current)
        if not names:
            return
        name = self.random.choice(names)
        self.model.will_delete(name)
        del self.model.current[name]
        self.counter.step()
        os.unlink(self.path(name))
        if self.random.random() < 0.3:
            self.sync_directory()
            self.model.secured(name, None)


def one_round(fs, models, contents, random):
    counter, killed = StepCounter(), threading.Event()
    writers = [Writer(fs.join(name), model, type(random)(random.getrandbits(64)), contents, counter,
                      killed) for name, model in models.items()]
    steps = random.randrange(random.choice(MAX_STEPS))
    for writer in writers:
        writer.start()
    counter.wait_for(steps)
    killed.set()
    fs.kill()
    for writer in writers:
        writer.join()
    faults = [f"{w.name}: {w.fault!r}" for w in writers if w.fault is not None]
    assert not faults, faults
    return steps


def recover(fs, models):
    """Mounts again, compares with the models, and takes over what is there."""
    harness.dedupfs("umount", fs.path)
    fs.mount_as_child()
    faults = []
    for directory, model in models.items():
        found = kill_model.read_all(fs.join(directory))
        faults += [f"{directory}/{fault}" for fault in model.faults(found)]
        model.settle({n: c for n, c in found.items() if not n.startswith("new-")})
    assert not faults, "\n".join(faults)


def main():
    harness.need_fuse()
    random = harness.seeded_random()
    contents = load_contents()
    with harness.work_directory() as work, harness.Mount(work) as fs:
        with open(os.path.join(fs.store, "dedupfs.toml"), "w", encoding="ascii") as file:
            file.write(SETTINGS)
        fs.mount_as_child()
        models = {f"writer{n}": kill_model.Model() for n in range(WRITERS)}
        for directory in models:
            os.mkdir(fs.join(directory))
        fs.sync()
        for number in range(1, ROUNDS + 1):
            steps = one_round(fs, models, contents, random)
            recover(fs, models)
            files = sum(len(model.current) for model in models.values())
            print(f"round {number}: killed after {steps} steps, {files} files", flush=True)
            if number % CHECK_EVERY == 0 or number == ROUNDS:
                fs.umount()
                fs.check()
                fs.mount_as_child()
        fs.umount()
        fs.check()


if __name__ == "__main__":
    harness.run_script(main)
