"""What each column family of the metadata database takes on the disk, read from its table files.

Every table file of RocksDB names its family among its properties (format: block-based table,
versions 1 to 5).
"""

import os
import struct

FOOTER_BYTES = 53  # checksum type, two padded handles, version, magic
MAGIC = 0x88E241B785F4CFF7
PROPERTIES = b"rocksdb.properties"
FAMILY = b"rocksdb.column.family.name"
ENTRIES = b"rocksdb.num.entries"
LOG_SUFFIX = ".log"
TABLE_SUFFIX = ".sst"


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def handle(data):
    offset, at = varint(data, 0)
    size, _ = varint(data, at)
    return offset, size


def block(file, offset, size):
    """The keys and values of an uncompressed block."""
    file.seek(offset)
    data = file.read(size)
    restarts = struct.unpack_from("<I", data, len(data) - 4)[0]
    end = len(data) - 4 * (restarts + 1)
    entries, key, at = {}, b"", 0
    while at < end:
        shared, at = varint(data, at)
        rest, at = varint(data, at)
        length, at = varint(data, at)
        key = key[:shared] + data[at:at + rest]
        entries[key] = data[at + rest:at + rest + length]
        at += rest + length
    return entries


def properties(path):
    with open(path, "rb") as file:
        file.seek(-FOOTER_BYTES, os.SEEK_END)
        footer = file.read(FOOTER_BYTES)
        if struct.unpack_from("<Q", footer, FOOTER_BYTES - 8)[0] != MAGIC:
            raise ValueError(f"{path}: no table of RocksDB")
        meta = block(file, *handle(footer[1:]))
        return block(file, *handle(meta[PROPERTIES]))


def by_family(database):
    """{family: {"bytes": ..., "entries": ...}}, and the write-ahead log as the family "log".
    Call it while nobody changes the database."""
    families = {}

    def add(family, size, entries):
        figures = families.setdefault(family, {"bytes": 0, "entries": 0})
        figures["bytes"] += size
        figures["entries"] += entries

    for entry in os.scandir(database):
        size = entry.stat().st_size
        if entry.name.endswith(LOG_SUFFIX):
            add("log", size, 0)
        elif entry.name.endswith(TABLE_SUFFIX):
            found = properties(entry.path)
            add(found[FAMILY].decode(), size, varint(found[ENTRIES], 0)[0])
    return families
