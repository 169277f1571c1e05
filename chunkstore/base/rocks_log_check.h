// Tells damage in a file of the write-ahead log from the end that a power cut leaves.
//
// A power cut may take any bytes that were never synced, so a record that cannot be read is the end
// of the log, unless something proves that it had been durable: a record behind it whose mark says
// how far the log was synced when it was written. Each batch ends with such a mark, LogMark(). A
// valid record in a later log proves it too, since nothing is written to a log before the one
// before it is durable. Not told apart: damage of what was synced last before a crash.
// The form of records: RocksDB's "Write Ahead Log File Format"; their checksum is CRC-32C (RFC
// 3720, B.4), masked.
//
// Thread safety: pure functions and values.
// Errors:        those of the file.
// Units:         bytes.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <optional>
#include <string>

namespace dedupfs {

// A position in the log: so much of the file of this number.
struct LogPosition {
  uint64_t log = 0;
  uint64_t offset = 0;
};

// What a batch carries behind its changes: all of `synced` was durable before it was written.
std::string LogMark(const LogPosition& synced);

struct LogReading {
  uint64_t end = 0;  // of what is to be replayed: the first record that is none, or of the file
  // RocksDB begins the log after one that ended early with an empty batch, which is none: after one
  // more crash both are replayed.
  bool has_batches = false;
  // Where a record begins that is not whole, or zeros with records behind them.
  std::optional<uint64_t> not_whole;
  std::optional<uint64_t> damaged;  // the same, if it surely was durable
};

// Reads to the end. `log`: the number of the file.
rocksdb::IOStatus ReadLog(rocksdb::FSSequentialFile& file, uint64_t log,
                          const rocksdb::IOOptions& options, LogReading& reading,
                          rocksdb::IODebugContext* dbg);

}  // namespace dedupfs
