#!/usr/bin/env python3
"""The sizes of source files: a median of at most 150 lines, 95 of 100 at most 600."""

import sys

import sources

MAX_MEDIAN = 150
MAX_95TH_PERCENTILE = 600


def percentile(sorted_values, percent):
    return sorted_values[min(len(sorted_values) - 1, len(sorted_values) * percent // 100)]


def main(root):
    sizes = sorted((len(sources.lines(absolute)), path)
                   for path, absolute in sources.walk(root, sources.CODE + (".py", ".sh")))
    counts = [size for size, _ in sizes]
    median, high = percentile(counts, 50), percentile(counts, 95)
    print(f"{len(sizes)} files: median {median} lines, 95th percentile {high}, "
          f"largest {sizes[-1][1]} ({sizes[-1][0]})")
    faults = []
    if median > MAX_MEDIAN:
        faults.append(f"the median is over {MAX_MEDIAN} lines")
    if high > MAX_95TH_PERCENTILE:
        faults.append(f"the 95th percentile is over {MAX_95TH_PERCENTILE} lines")
    return sources.report(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
