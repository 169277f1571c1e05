// The list of condemned chunks: a row for each, so that known damage is told without reading every
// chunk row (format: docs/format/chunk-index.md).
//
// Thread safety: pure functions over a Kv; rows are changed by the leader of a commit group only,
//                in the batch that changes the flag of the chunk row.
// Errors:        those of the Kv.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

void PutDamage(Batch& batch, ChunkId id);
void DeleteDamage(Batch& batch, ChunkId id);

// At most `limit` ids greater than `after`, ascending.
Result<std::vector<ChunkId>> ListDamage(Kv& kv, ChunkId after, size_t limit);
Result<uint64_t> CountDamage(Kv& kv);

}  // namespace dedupfs
