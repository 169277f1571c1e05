// The files of the write-ahead log, for RocksDB: zeros are written ahead of the log's end, so that
// a sync of a small batch finds the size and the blocks of the file unchanged and needs no
// transaction of the file system below. All other files go straight to the one below.
//
// Reading: a power cut may leave zeros, and behind them pieces that were never synced. RocksDB
// skips
//          zeros, so a log is shown to it as if it ended at the first record header of zeros: what
//          is recovered stays a prefix. The form of records: RocksDB's "Write Ahead Log File
//          Format".
//
// Thread safety: as rocksdb::FileSystem. Of one log, a sync may run beside an append.
// Ownership:     shares the file system below.
// Durability:    that of the file system below. Zeros are written only while syncs are frequent.
// Errors:        those of the file system below. Zeros that cannot be written are done without.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

namespace dedupfs {

std::shared_ptr<rocksdb::FileSystem> NewWalFileSystem(
    const std::shared_ptr<rocksdb::FileSystem>& below);

}  // namespace dedupfs
