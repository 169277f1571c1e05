"""What a crash may leave of a file, by what was done to it and what was synced."""

import os


class Expectation:
    """Whole contents of which one must be there (None: no such file), or a beginning."""

    def __init__(self, contents=(), beginning=None):
        self.contents = list(contents)
        self.beginning = beginning

    def holds(self, content):
        if self.beginning is not None:
            return content is not None and content.startswith(self.beginning)
        return content in self.contents

    def describe(self):
        if self.beginning is not None:
            return f"a file that begins with its {len(self.beginning)} synced bytes"
        sizes = ["no file" if c is None else f"{len(c)} bytes" for c in self.contents]
        return " or ".join(sizes)


class Model:
    """The files of one writer. A name without an expectation may be anything, but readable.

    Every change is told before it is made, and what an fsync secured after it returned; so the
    model is right at whatever instant the daemon is killed.
    """

    def __init__(self):
        self.expected = {}
        self.current = {}  # what was last written, whether it was synced or not

    def settle(self, found):
        """After recovery: what was found is durable."""
        self.current = dict(found)
        self.expected = {name: Expectation([content]) for name, content in found.items()}

    def will_change(self, name):
        self.expected.pop(name, None)

    def will_append(self, name):
        known = self.expected.pop(name, None)
        if known and known.beginning is not None:
            self.expected[name] = known
        elif known and len(known.contents) == 1 and known.contents[0] is not None:
            self.expected[name] = Expectation(beginning=known.contents[0])

    def will_replace(self, name, content):
        """By rename: the old content or the new, never less, whether synced or not."""
        known = self.expected.pop(name, None)
        if known and known.beginning is None and None not in known.contents:
            self.expected[name] = Expectation(known.contents + [content])

    def will_delete(self, name):
        known = self.expected.pop(name, None)
        if known and known.beginning is None:
            self.expected[name] = Expectation(known.contents + [None])

    def secured(self, name, content):
        self.expected[name] = Expectation([content])

    def faults(self, found):
        for name, expectation in self.expected.items():
            content = found.get(name)
            if not expectation.holds(content):
                size = "missing" if content is None else f"{len(content)} bytes, other content"
                yield f"{name}: {size}; expected {expectation.describe()}"


def read_all(directory):
    """Every file of a writer's directory; an unreadable one raises."""
    found = {}
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as file:
            found[name] = file.read()
    return found
