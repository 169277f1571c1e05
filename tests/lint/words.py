#!/usr/bin/env python3
"""Words that must not be in the project: markers of unfinished work, sleeps in tests, and the
absolute path of the checkout that this runs in."""

import os
import re
import sys

import sources

# Put together so that this file does not hold them.
MARKERS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
SLEEPS = re.compile(
    r"\bsleep_(?:for|until)\b|\b(?:u|nano)?sleep\s*\(|^\s*sleep\s+[0-9.]|[;&|]\s*sleep\s+[0-9.]")
# A root that is this short, or where containers put every project, proves nothing.
COMMON_ROOTS = ("/", "/src", "/app", "/build")


def faults_of(path, lines, root):
    in_tests = path.startswith("tests/") and not path.startswith("tests/lint/")
    for number, line in enumerate(lines, 1):
        marker = MARKERS.search(line)
        if marker:
            yield f"{path}:{number}: {marker.group(1)}: unfinished work belongs into an issue"
        if in_tests and SLEEPS.search(line):
            yield f"{path}:{number}: a test waits for its event, it does not sleep"
        if root not in COMMON_ROOTS and re.search(re.escape(root) + r"(?![\w-])", line):
            yield f"{path}:{number}: names the path of a checkout on one machine"


def main(root):
    root = os.path.realpath(root)
    faults = []
    for path, absolute in sources.walk(root):
        if os.path.basename(path) != "LICENSE":
            faults.extend(faults_of(path, sources.lines(absolute), root))
    return sources.report(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
