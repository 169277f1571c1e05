// The decoded chunks that were read last, in a fixed budget of bytes.
//
// Thread safety: every method may be called concurrently; sharded, so that readers rarely meet.
// Ownership:     values are shared and never change; ids are never reused, so none turns stale.
// Units:         bytes.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

class ChunkCache {
 public:
  using Value = std::shared_ptr<const Buffer>;

  explicit ChunkCache(uint64_t budget_bytes);

  Value Find(ChunkId id);  // null if it is not there
  void Insert(ChunkId id, Value value);
  void Evict(std::span<const ChunkId> ids);

 private:
  struct Shard {
    Mutex mutex;
    std::list<std::pair<ChunkId, Value>> by_use GUARDED_BY(mutex);  // the latest first
    std::unordered_map<ChunkId, std::list<std::pair<ChunkId, Value>>::iterator> index
        GUARDED_BY(mutex);
    uint64_t bytes GUARDED_BY(mutex) = 0;
  };
  static constexpr size_t kShards = 16;
  Shard& ShardOf(ChunkId id) { return shards_[id % kShards]; }

  const uint64_t shard_budget_bytes_;
  std::array<Shard, kShards> shards_;
};

}  // namespace dedupfs
