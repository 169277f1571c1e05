"""Finds the project's own files."""

import os

SKIPPED_DIRECTORIES = {".git", "build", "__pycache__"}
CODE = (".h", ".cc")


def walk(root, suffixes=None):
    """Yields (path from the root, absolute path) of every file, in order."""
    for directory, names, files in os.walk(root):
        names[:] = sorted(n for n in names if n not in SKIPPED_DIRECTORIES)
        for name in sorted(files):
            if suffixes is None or name.endswith(suffixes):
                path = os.path.join(directory, name)
                if not os.path.islink(path):
                    yield os.path.relpath(path, root), path


def lines(path):
    """The lines of a text file; none of a binary one."""
    with open(path, "rb") as file:
        data = file.read()
    if b"\0" in data:
        return []
    return data.decode("utf-8", errors="replace").splitlines()


def report(faults):
    for fault in faults:
        print(fault)
    return 1 if faults else 0
