#include "chunkstore/locality_cache.h"

#include <algorithm>

namespace dedupfs {

LocalityCache::LocalityCache(uint64_t budget_bytes) : budget_bytes_(budget_bytes) {}

std::optional<ChunkId> LocalityCache::Find(const Fingerprint& fingerprint) {
  MutexLock lock(mutex_);
  const auto found = ids_.find(fingerprint);
  if (found == ids_.end()) return std::nullopt;
  const auto [id, pack] = found->second;
  by_use_.splice(by_use_.begin(), by_use_, packs_.at(pack).place);
  return id;
}

bool LocalityCache::Has(PackId pack) const {
  MutexLock lock(mutex_);
  return packs_.count(pack) > 0;
}

void LocalityCache::Insert(PackId pack, const std::vector<PackEntry>& entries) {
  const size_t kept = std::min<uint64_t>(entries.size(), budget_bytes_ / kEntryBytes);
  MutexLock lock(mutex_);
  EvictLocked(pack);
  while (!by_use_.empty() && (entries_ + kept) * kEntryBytes > budget_bytes_) {
    EvictLocked(by_use_.back());
  }
  by_use_.push_front(pack);
  CachedPack& cached = packs_[pack];
  cached.place = by_use_.begin();
  cached.fingerprints.reserve(kept);
  for (size_t i = 0; i < kept; ++i) {
    const RecordHeader& header = entries[i].header;
    cached.fingerprints.push_back(header.fingerprint);
    ids_[header.fingerprint] = {header.id, pack};
  }
  entries_ += kept;
}

void LocalityCache::Evict(PackId pack) {
  MutexLock lock(mutex_);
  EvictLocked(pack);
}

void LocalityCache::EvictLocked(PackId pack) {
  const auto cached = packs_.find(pack);
  if (cached == packs_.end()) return;
  entries_ -= cached->second.fingerprints.size();
  for (const Fingerprint& fingerprint : cached->second.fingerprints) {
    // A later pack may hold the fingerprint too.
    const auto found = ids_.find(fingerprint);
    if (found != ids_.end() && found->second.second == pack) ids_.erase(found);
  }
  by_use_.erase(cached->second.place);
  packs_.erase(cached);
}

}  // namespace dedupfs
