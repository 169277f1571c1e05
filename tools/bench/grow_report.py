"""The tables of grow.py, of whole figures or of those that were taken before something failed."""

import report
from bench_row import ROWS
from workload import MIB


def short(number):
    for unit, value in (("M", 1_000_000), ("K", 1000)):
        if number % value == 0:
            return f"{number // value}{unit}"
    return str(number)


def lines_of(kind, results):
    """Pairs of what is measured and how to get it from the figures of one size."""
    one = kind[:-1]
    lines = [
        (f"growth [{kind}/s]", lambda f: f.get("growth_per_s")),
        ("mount, cold [ms]", lambda f: f["mount_s"] * 1000),
        ("mount after a kill, cold [ms]", lambda f: f["mount_after_kill_s"] * 1000),
        ("first mount after growth [ms]", lambda f: f["mount_after_growth_s"] * 1000),
        ("memory after mount [MiB]", lambda f: f["memory_after_mount_bytes"] / MIB),
        ("peak memory of the rows [MiB]", lambda f: f["memory_peak_bytes"] / MIB),
        ("metadata [MB]", lambda f: f["metadata_bytes"] / 1e6),
        (f"metadata for each {one} [B]", lambda f: f["metadata_bytes_each"]),
    ]
    if kind == "chunks":
        lines.append(("metadata for a TB of 64 KiB chunks [GB]",
                      lambda f: f["metadata_bytes_for_tb"] / 1e9))
    for family in sorted({name for f in results for name in f.get("families", {})}):
        lines.append((f"  {family} for each {one} [B]", lambda f, name=family:
                      f["families"].get(name, {"bytes": 0})["bytes"] / f["size"]))
    lines.append(("physical [MB]", lambda f: f["physical_bytes"] / 1e6))
    return lines


def known(figure, figures):
    """None where the figure was not taken."""
    try:
        return figure(figures)
    except KeyError:
        return None


def cell(value):
    return "-" if value is None else report.number(value)


def last_to_first(values):
    both = len(values) > 1 and values[0] and values[-1] is not None
    return f"{values[-1] / values[0]:.2f}" if both else "-"


def table(kind, results):
    """Rows on the largest store are compared with those that the smallest had at the same time."""
    heads = [f"store of {kind}", *(short(f["size"]) for f in results),
             f"{short(results[0]['size'])} again", "last/first"]
    lines = []
    for title, figure in lines_of(kind, results):
        values = [known(figure, f) for f in results]
        lines.append([title, *map(cell, values), "-", last_to_first(values)])
    again = results[-1].get("rows_of_first_again", {})
    for name in [n for n in ROWS if any(n in f.get("rows", {}) for f in results)]:
        values = [known(lambda f: f["rows"][name]["value"], f) for f in results]
        beside = known(lambda f: f[name]["value"], again)
        lines.append([f"{name} [{ROWS[name].unit}]", *map(cell, values), cell(beside),
                      last_to_first([beside, values[-1]])])
    return report.table("", heads, lines).lstrip("\n")
