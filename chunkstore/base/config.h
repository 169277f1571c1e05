// The settings of a store, read from STORE/dedupfs.toml (all optional; docs in README.md).
//
// Errors: EINVAL naming the file, the line and the key, for an unknown key, a wrong type or a
//         value out of its range. A missing file gives the defaults.
// Units:  _bytes are bytes (in the file a number or "512 MiB"), _ms milliseconds.
#pragma once

#include <cstdint>
#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

struct Config {
  uint64_t metadata_cache_bytes = 256ull << 20;  // RocksDB's block cache
  uint64_t chunk_cache_bytes = 128ull << 20;     // decoded chunks
  uint64_t dirty_budget_bytes = 256ull << 20;    // written, not yet in packs
  uint64_t commit_interval_ms = 5000;            // the most that a crash may lose, in time
  uint64_t reserve_bytes = 256ull << 20;         // kept free on the disk below for deletes
  uint64_t threads = 0;                          // 0: one for each core
  uint64_t recompress_level = 6;                 // zstd level for cold packs; 0: not by itself
  uint64_t recompress_after_quiet_ms = 10'000;   // of no writes, before cold packs are rewritten
  uint64_t extra_copy_references = 0;            // chunks with more get an extra copy; 0: none
  uint64_t request_warn_ms = 30'000;             // a request that takes longer is logged; 0: none
  std::string log_level = "info";
};

Result<Config> LoadConfig(const std::string& path);

}  // namespace dedupfs
