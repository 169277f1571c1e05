#include "chunkstore/base/rocks_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/kv_salvage.h"

namespace dedupfs {
namespace {

constexpr std::array<std::string_view, kFamilyCount> kNames{
    "meta",  "fingerprint", "chunk",  "pack",  "inode", "dentry",
    "xattr", "content",     "recipe", "dirty", "orphan"};
constexpr double kFilterBitsPerKey = 10;  // about one false hit in a hundred
constexpr double kHighPriorityShare = 0.5;
constexpr double kMemtableFilterShare = 0.02;
constexpr int kOpenFiles = 512;
constexpr uint64_t kMaxLogBytes = uint64_t{128} << 20;
constexpr uint64_t kSyncStep = uint64_t{1} << 20;

bool Supports(rocksdb::CompressionType type) {
  const std::vector<rocksdb::CompressionType> all = rocksdb::GetSupportedCompressions();
  return std::find(all.begin(), all.end(), type) != all.end();
}

rocksdb::ColumnFamilyOptions FamilyOptions(size_t family,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  // Ribbon: the false hits of a Bloom filter in 30 % less memory; a new chunk then costs no read.
  table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(kFilterBitsPerKey));
  table.whole_key_filtering = true;
  // In the cache, so that the memory of the database stays at its budget however large it grows.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;

  rocksdb::ColumnFamilyOptions options;
  options.optimize_filters_for_hits = false;
  options.level_compaction_dynamic_level_bytes = true;
  options.paranoid_file_checks = false;  // reads every new table again
  options.force_consistency_checks = true;
  options.compression = rocksdb::kNoCompression;
  // Fingerprints are random bytes: nothing to win.
  if (family != static_cast<size_t>(Family::kFingerprint)) {
    if (Supports(rocksdb::kLZ4Compression)) options.compression = rocksdb::kLZ4Compression;
    if (Supports(rocksdb::kZSTD)) options.bottommost_compression = rocksdb::kZSTD;
  }
  // Most reads of new names and new inodes find nothing: a filter spares them the walk through the
  // skip list.
  options.memtable_whole_key_filtering = true;
  options.memtable_prefix_bloom_size_ratio = kMemtableFilterShare;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

std::string_view FamilyName(Family family) { return kNames[static_cast<size_t>(family)]; }

rocksdb::DBOptions RocksDbOptions(const KvOptions& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = options.create;
  db.create_missing_column_families = options.create;
  db.error_if_exists = options.create;
  db.paranoid_checks = true;
  db.manual_wal_flush = true;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  db.enable_pipelined_write = false;
  db.max_total_wal_size = kMaxLogBytes;
  db.db_write_buffer_size = options.memtable_bytes;
  db.max_open_files = kOpenFiles;
  db.max_background_jobs = 2;
  db.bytes_per_sync = kSyncStep;
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  db.keep_log_file_num = 2;
  return db;
}

std::vector<rocksdb::ColumnFamilyDescriptor> RocksFamilies(const KvOptions& options) {
  const std::shared_ptr<rocksdb::Cache> cache =
      rocksdb::NewLRUCache(options.block_cache_bytes, -1, false, kHighPriorityShare);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.reserve(kFamilyCount + 1);
  for (size_t i = 0; i < kFamilyCount; ++i) {
    families.emplace_back(std::string(kNames[i]), FamilyOptions(i, cache));
  }
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, FamilyOptions(kFamilyCount, cache));
  return families;
}

}  // namespace dedupfs
