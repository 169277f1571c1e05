"""Medians, spread and ratios of the samples; the tables that people read."""

import statistics

REFERENCES = ("disk", "passthrough")


def summary(samples):
    """The median, least and most of each figure that every sample has."""
    keys = [key for key, value in samples[0].items()
            if isinstance(value, (int, float)) and all(key in s for s in samples)]
    result = {key: statistics.median(s[key] for s in samples) for key in keys}
    values = [s["value"] for s in samples]
    result.update(least=min(values), most=max(values), rounds=len(samples))
    return result


def with_ratios(rows):
    """Adds to each row, for each contender, its median against those of the references."""
    for of_row in rows.values():
        results = of_row["results"]
        for result in results.values():
            result["ratio"] = {name: result["value"] / results[name]["value"]
                               for name in REFERENCES
                               if name in results and results[name]["value"] > 0}
    return rows


def number(value):
    if value >= 100_000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(title, heads, lines):
    if not lines:
        return ""
    widths = [max(len(str(line[i])) for line in [heads, *lines]) for i in range(len(heads))]
    out = [title]
    for line in [heads, *lines]:
        out.append("  " + "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width)
                                    for i, (cell, width) in enumerate(zip(line, widths))))
    return "\n".join(out) + "\n"


def cells(rows, contenders, cell):
    return [[name] + [cell(of_row["results"][c]) if c in of_row["results"] else "-"
                      for c in contenders] for name, of_row in rows.items()]


def text(report):
    rows, contenders = report["rows"], report["contenders"]
    parts = [report["machine"], report["settings_line"] + "\n"]
    named = {f"{name} [{of_row['unit']}]": of_row for name, of_row in rows.items()}
    parts.append(table("median (least..most)", ["row", *contenders], cells(
        named, contenders,
        lambda r: f"{number(r['value'])} ({number(r['least'])}..{number(r['most'])})")))
    for reference in REFERENCES:
        if reference not in contenders:
            continue
        others = [c for c in contenders if c != reference]
        parts.append(table(f"ratio against {reference} (more is better)", ["row", *others], cells(
            rows, others,
            lambda r, ref=reference: f"{r['ratio'][ref]:.2f}" if ref in r["ratio"] else "-")))
    for title, key, scale in (("CPU seconds for each GB (the daemon's user time, all kernel time)",
                               "cpu_s_per_gb", 1),
                              ("MB on the disk that the row added", "disk_bytes", 1e6),
                              ("MB of it after background recompression",
                               "compressed_disk_bytes", 1e6)):
        some = {n: r for n, r in rows.items() if any(key in x for x in r["results"].values())}
        parts.append(table(title, ["row", *contenders], cells(
            some, contenders, lambda r, k=key, s=scale: f"{r[k] / s:.2f}" if k in r else "-")))
    latency = [[f"{name} {c}"] + [f"{r[k]:.0f}" for k in ("p50_us", "p99_us", "p999_us")]
               for name, of_row in rows.items() for c, r in of_row["results"].items()
               if "p50_us" in r]
    parts.append(table("latency, microseconds", ["row", "p50", "p99", "p99.9"], latency))
    parts.append(table("peak memory of the daemon, MiB", ["contender", "MiB"],
                       [[c, f"{b / 2**20:.0f}"] for c, b in report["peak_memory_bytes"].items()
                        if b]))
    parts.extend(f"skipped: {what}: {why}" for what, why in report["skipped"].items())
    parts.extend(f"FAILED: {what}: {why}" for what, why in report["failed"].items())
    return "\n".join(part for part in parts if part)
