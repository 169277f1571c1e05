"""The rows of the bench: what each is called, and what one run of it yields."""

import dataclasses
from typing import Callable

ROWS = {}

# What a contender must be for a row to run on it.
FILE_SYSTEM = "file system"
ARCHIVE = "archive"


class NotHere(Exception):
    """A row or a contender cannot run: `NotHere("git", "not installed")`."""

    def __init__(self, thing, why):
        super().__init__(f"needs {thing}: {why}")


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    unit: str  # of the value, of which more is better: MB/s, op/s, files/s
    run: Callable
    kinds: tuple
    text: str


def row(name, unit, kinds=(FILE_SYSTEM,)):
    """Registers `run(bench)`, which times its work inside `with bench.timed(...)`."""

    def register(run):
        ROWS[name] = Row(name, unit, run, kinds, " ".join((run.__doc__ or "").split()))
        return run

    return register
