// Finds or stores chunks: the way of a write from bytes to pinned chunk ids.
//
// Works through the requests in slices of about 16 MiB: fingerprints, claims in the in-flight
// table, lookup of what is there (locality cache, then index), compression of the rest, one append,
// and at last the wait for what other callers store at the same time. Waiting comes last, when
// nothing of ours is unresolved, so callers never wait for each other in a circle.
//
// Thread safety: Store may be called concurrently.
// Ownership:     borrows everything in IngestParts.
// Durability:    none: Commit syncs what it counts.
// Errors:        ENOSPC, EDQUOT: nothing is stored. Another error of an append makes the store
//                read-only. After an error no pin is left.
// Units:         bytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/failure_latch.h"
#include "chunkstore/id_range.h"
#include "chunkstore/in_flight.h"
#include "chunkstore/locality_cache.h"
#include "chunkstore/packs/packs.h"
#include "chunkstore/space_guard.h"

namespace dedupfs {

struct IngestParts {
  Kv& kv;
  Packs& packs;
  ThreadPool& pool;
  InFlight& in_flight;
  LocalityCache& locality;
  SpaceGuard& space;
  IdRange& chunk_ids;
  FailureLatch& failure;
};

// How many bytes may be written again to keep files in few packs: 2 % of what is stored.
//
// Thread safety: every method may be called concurrently.
class RewriteCredit {
 public:
  void Earn(uint64_t stored_bytes);
  // True, and the bytes are spent, if there is credit for them.
  bool Spend(uint64_t bytes);

 private:
  std::atomic<uint64_t> credit_bytes_{0};
};

class Ingest {
 public:
  explicit Ingest(const IngestParts& parts) : parts_(parts) {}

  // Returns the ids in order of the requests, and adds the ids that it pinned (once each) to
  // `pinned`.
  Result<std::vector<ChunkId>> Store(std::span<const StoreRequest> requests,
                                     std::vector<ChunkId>& pinned);

 private:
  IngestParts parts_;
  RewriteCredit credit_;
};

}  // namespace dedupfs
