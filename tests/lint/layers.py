#!/usr/bin/env python3
"""Includes go downward only, and third-party headers stay in their room (docs/architecture.md)."""

import re
import sys

import sources

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')

# The folders of each layer, from the bottom up, and what it may include. The longest folder that
# holds a file is its layer.
MAY_INCLUDE = {
    "chunkstore/base": [],
    "chunkstore/chunking": ["chunkstore/base"],
    "chunkstore/packs": ["chunkstore/base", "chunkstore/chunking"],
    "chunkstore": ["chunkstore/base", "chunkstore/chunking", "chunkstore/packs"],
    "fs": ["chunkstore", "fs/namespace", "fs/content"],
    "fs/namespace": ["chunkstore", "fs"],
    "fs/content": ["chunkstore", "fs"],
    "fs/fuse": ["chunkstore", "fs"],
    "control": ["chunkstore", "fs"],
    "thumbs": ["chunkstore/base"],
    "tools": ["chunkstore", "fs", "fs/fuse", "control"],
    "tools/bench": ["chunkstore", "fs", "fs/namespace", "fs/content", "fs/fuse"],  # parts alone
    "tests": ["chunkstore", "fs", "fs/namespace", "fs/content", "fs/fuse", "control", "thumbs",
              "tools"],
}

# fs/file_system.h hands out this type by unique_ptr, so its users need it whole to destroy it.
EXCEPTIONS = {("fs/fuse", "fs/content/open_file.h"), ("control", "fs/content/open_file.h"),
              ("tools", "fs/content/open_file.h")}

# Header prefixes, and the only files or folders that may include them.
ROOMS = {
    "fuse": ["fs/fuse/", "tests/mount/"],
    "rocksdb/": ["chunkstore/base/rocks_", "tests/support/fault_file_system",
                 "tests/support/log_record"],
    "spdlog/": ["chunkstore/base/log.cc"],
    "toml++/": ["chunkstore/base/toml.h"],
    "openssl/": ["chunkstore/chunking/", "tests/chunking/"],
    "lz4": ["chunkstore/chunking/"],
    "zstd": ["chunkstore/chunking/"],
    "CLI/": ["tools/"],
    "nlohmann/": ["control/", "tools/", "tests/"],
    "httplib.h": ["control/http/"],
    "vips/": ["thumbs/"],
    "libav": ["thumbs/"],
}


def layer_of(path):
    fits = [layer for layer in MAY_INCLUDE if path.startswith(layer + "/")]
    return max(fits, key=len) if fits else None


def is_below(target, allowed):
    return any(target == layer or target.startswith(layer + "/") and layer not in ("fs",)
               for layer in allowed)


def check_own(path, included):
    layer, target = layer_of(path), layer_of(included)
    if target is None:
        return f"{included}: belongs to no layer"
    if (layer, included) in EXCEPTIONS or layer == target or is_below(target, MAY_INCLUDE[layer]):
        return None
    return f"{included}: {layer} must not include {target}"


def check_third_party(path, included):
    for prefix, rooms in ROOMS.items():
        if included.startswith(prefix) and not path.startswith(tuple(rooms)):
            return f"<{included}>: belongs to {', '.join(rooms)}"
    return None


def check_line(path, line):
    found = INCLUDE.match(line)
    if not found:
        return None
    check = check_own if found.group(1) == '"' else check_third_party
    return check(path, found.group(2))


def main(root):
    faults = []
    for path, absolute in sources.walk(root, sources.CODE):
        if layer_of(path) is None:
            faults.append(f"{path}: belongs to no layer")
            continue
        for number, line in enumerate(sources.lines(absolute), 1):
            fault = check_line(path, line)
            if fault:
                faults.append(f"{path}:{number}: {fault}")
    return sources.report(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
