"""The file that --json names: it holds a whole set of figures at any time."""

import contextlib
import json
import os

NEW = ".new"


def check(path):
    """Raises at the start where the file could not be written later."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise RuntimeError(f"--json {path}: no regular file")  # a rename would put one in its place
    try:
        write_new(path, "")
        os.unlink(path + NEW)
    except OSError as error:
        raise RuntimeError(f"--json {path}: {error.strerror}") from error


def write(path, figures):
    try:
        write_new(path, json.dumps(figures, indent=1))
        os.replace(path + NEW, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + NEW)


def write_new(path, text):
    with open(path + NEW, "w", encoding="utf-8") as file:
        file.write(text)
