// The whole metadata database as one stream of rows that needs no RocksDB to be read (format:
// docs/format/metadata-backup.md).
//
// Thread safety: pure functions; nobody may write to the database that is dumped.
// Ownership:     borrow database and file for the call.
// Durability:    WriteDump syncs nothing, ReadDump buffers its rows: the caller syncs both.
// Errors:        EIO, naming the place, for a dump that is cut short, changed, or of another kind;
//                EPROTO for a newer version. The rows are in the database then in part: it is of
//                no use.
// Memory:        bounded: a few MiB.
// Units:         offsets and sizes are bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"

namespace dedupfs {

inline constexpr size_t kMaxDumpInfoBytes = 64 << 10;

// Reads every row, which verifies every block of the database, and returns their number.
Result<uint64_t> CountRows(Kv& kv);

// `info` says whose the rows are; at most kMaxDumpInfoBytes. `progress` gets the rows written.
// Returns their number.
Result<uint64_t> WriteDump(Kv& kv, std::string_view info, File& file,
                           const std::function<void(uint64_t rows)>& progress);

// The info of a dump, of which nothing else is checked.
Result<std::string> ReadDumpInfo(File& file);

// Puts every row into `kv`, which is empty. OK only if the dump is whole and its checksum right.
Result<uint64_t> ReadDump(File& file, Kv& kv,
                          const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace dedupfs
