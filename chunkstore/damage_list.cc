#include "chunkstore/damage_list.h"

#include <limits>
#include <string>
#include <string_view>

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

constexpr std::string_view kPrefix = "condemned/";

std::string KeyOf(ChunkId id) { return std::string(kPrefix) + BigU64(id); }

}  // namespace

void PutDamage(Batch& batch, ChunkId id) { batch.Put(Family::kMeta, KeyOf(id), {}); }

void DeleteDamage(Batch& batch, ChunkId id) { batch.Delete(Family::kMeta, KeyOf(id)); }

Result<std::vector<ChunkId>> ListDamage(Kv& kv, ChunkId after, size_t limit) {
  std::vector<ChunkId> ids;
  if (after == std::numeric_limits<ChunkId>::max()) return ids;
  const auto rows = kv.Iterate(Family::kMeta, KeyOf(after + 1), PrefixEnd(kPrefix));
  for (; rows->Valid() && ids.size() < limit; rows->Next()) {
    if (rows->key().size() != kPrefix.size() + sizeof(ChunkId)) continue;
    ids.push_back(ParseBigU64(rows->key().substr(kPrefix.size())));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return ids;
}

Result<uint64_t> CountDamage(Kv& kv) {
  uint64_t count = 0;
  const auto rows = kv.Iterate(Family::kMeta, kPrefix, PrefixEnd(kPrefix));
  for (; rows->Valid(); rows->Next()) ++count;
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return count;
}

}  // namespace dedupfs
