// Verifies a store without changing it: every record by its checksum and SHA-256, and every row
// against what it is derived from.
//
// Cost: reads every stored byte once, in batches of neighbouring chunks sorted by place; memory is
// bounded by one batch and one line for each pack.
//
// Thread safety: one check at a time. Commits that run beside it may be reported as differences.
// Ownership:     borrows everything in CheckParts.
// Errors:        only what keeps the check from going on; what it finds goes to the hooks.
// Units:         bytes.
#pragma once

#include <functional>
#include <string>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

struct CheckParts {
  Kv& kv;
  Packs& packs;
  ThreadPool& pool;
  Packs* copies = nullptr;  // null: the store has none
};

// Extra copies: their rows, sums and records (store_check_copies.cc).
Status CheckCopies(const CheckParts& parts,
                   const std::function<void(ChunkId, const std::string&)>& report);
bool HasWholeCopy(const CheckParts& parts, ChunkId id, const ChunkRow& row);

Status CheckStore(const CheckParts& parts, const ChunkStore::CheckHooks& hooks);

}  // namespace dedupfs
