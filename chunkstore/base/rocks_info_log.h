// RocksDB's log for people (the file LOG of a database). A line that cannot be written is left out:
// RocksDB's own logger ends the process by an assertion at the next line after a full disk.
//
// Thread safety: concurrent.
// Durability:    none.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <memory>

namespace dedupfs {

std::shared_ptr<rocksdb::Logger> NewInfoLog(std::unique_ptr<rocksdb::FSWritableFile> file);

}  // namespace dedupfs
