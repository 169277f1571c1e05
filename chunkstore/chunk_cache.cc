#include "chunkstore/chunk_cache.h"

#include <utility>

namespace dedupfs {
namespace {

// What the list node, the table entry and the control block of a value take.
constexpr uint64_t kOverheadBytes = 160;

uint64_t CostOf(const ChunkCache::Value& value) { return value->size() + kOverheadBytes; }

}  // namespace

ChunkCache::ChunkCache(uint64_t budget_bytes) : shard_budget_bytes_(budget_bytes / kShards) {}

ChunkCache::Value ChunkCache::Find(ChunkId id) {
  Shard& shard = ShardOf(id);
  MutexLock lock(shard.mutex);
  const auto found = shard.index.find(id);
  if (found == shard.index.end()) return nullptr;
  shard.by_use.splice(shard.by_use.begin(), shard.by_use, found->second);
  return found->second->second;
}

void ChunkCache::Insert(ChunkId id, Value value) {
  const uint64_t cost = CostOf(value);
  if (cost > shard_budget_bytes_) return;
  Shard& shard = ShardOf(id);
  MutexLock lock(shard.mutex);
  if (shard.index.count(id) > 0) return;
  shard.bytes += cost;
  shard.by_use.emplace_front(id, std::move(value));
  shard.index[id] = shard.by_use.begin();
  while (shard.bytes > shard_budget_bytes_) {
    const auto& [last, last_value] = shard.by_use.back();
    shard.bytes -= CostOf(last_value);
    shard.index.erase(last);
    shard.by_use.pop_back();
  }
}

void ChunkCache::Evict(std::span<const ChunkId> ids) {
  for (ChunkId id : ids) {
    Shard& shard = ShardOf(id);
    MutexLock lock(shard.mutex);
    const auto found = shard.index.find(id);
    if (found == shard.index.end()) continue;
    shard.bytes -= CostOf(found->second->second);
    shard.by_use.erase(found->second);
    shard.index.erase(found);
  }
}

}  // namespace dedupfs
