// How the metadata database is tuned: the RocksDB options of DedupFS. Part of the room of
// rocks_kv.cc; nothing else includes it.
//
// Thread safety: functions without state.
// Durability:    the log is written by hand (FlushWAL), and recovered to a point in time.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <string>
#include <vector>

#include "chunkstore/base/kv.h"

namespace dedupfs {

rocksdb::DBOptions RocksDbOptions(const KvOptions& options);

// The families in the order of Family, then RocksDB's own "default", which stays empty.
std::vector<rocksdb::ColumnFamilyDescriptor> RocksFamilies(const KvOptions& options);

}  // namespace dedupfs
