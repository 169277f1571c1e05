// The fingerprints of packs that were hit a moment ago: duplicates come in runs, so one hit says
// that its neighbours in the pack will be asked for next (Zhu, Li and Patterson, "Avoiding the disk
// bottleneck in the Data Domain deduplication file system", FAST 2008). Only a hint: an id found
// here must be checked against its chunk row.
//
// Thread safety: every method may be called concurrently.
// Units:         bytes; an entry counts kEntryBytes.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

class LocalityCache {
 public:
  static constexpr uint64_t kEntryBytes = 160;  // in two tables, with their overhead

  explicit LocalityCache(uint64_t budget_bytes);

  std::optional<ChunkId> Find(const Fingerprint& fingerprint) EXCLUDES(mutex_);
  bool Has(PackId pack) const EXCLUDES(mutex_);
  // Replaces what is known of the pack; the packs used longest ago go.
  void Insert(PackId pack, const std::vector<PackEntry>& entries) EXCLUDES(mutex_);
  void Evict(PackId pack) EXCLUDES(mutex_);

 private:
  struct CachedPack {
    std::vector<Fingerprint> fingerprints;
    std::list<PackId>::iterator place;
  };
  void EvictLocked(PackId pack) REQUIRES(mutex_);

  const uint64_t budget_bytes_;
  mutable Mutex mutex_;
  std::list<PackId> by_use_ GUARDED_BY(mutex_);  // the latest first
  std::unordered_map<PackId, CachedPack> packs_ GUARDED_BY(mutex_);
  std::unordered_map<Fingerprint, std::pair<ChunkId, PackId>, FingerprintHash> ids_
      GUARDED_BY(mutex_);
  uint64_t entries_ GUARDED_BY(mutex_) = 0;
};

}  // namespace dedupfs
