// Gives back the space of packs in which no chunk is referenced, and of pack files that nothing
// names.
//
// How a pack goes, so that neither a crash nor a concurrent Store can lose a chunk: appends that
// may have gone to it are waited for; its chunks are marked as dropping, which fails if one is
// pinned or an uncommitted record lies in the pack; the commit leader sees that every row that the
// pack row counts is dead and deletes them in a synced batch; only then the file is removed. A
// crash between the last two leaves a file without a row, which the look at the next start removes.
//
// Thread safety: every method may be called concurrently; one pass runs at a time.
// Ownership:     borrows everything in ReclaimParts; owns its thread.
// Errors:        a pack that cannot be dropped stays, and is logged; others go on.
// Units:         bytes.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/chunk_cache.h"
#include "chunkstore/commit_group.h"
#include "chunkstore/failure_latch.h"
#include "chunkstore/in_flight.h"
#include "chunkstore/locality_cache.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

struct ReclaimParts {
  Kv& kv;
  Packs& packs;
  InFlight& in_flight;
  LocalityCache& locality;
  ChunkCache& cache;
  CommitGroup& commits;
  FailureLatch& failure;
};

class Reclaimer {
 public:
  explicit Reclaimer(const ReclaimParts& parts) : parts_(parts) {}
  ~Reclaimer() { Stop(); }

  // Starts the thread, which looks over all packs once and then at those that Suspect names.
  void Start();
  // Joins the thread; what it works at is finished.
  void Stop();
  void Suspect(PackId pack) EXCLUDES(mutex_);

  // Looks over all packs now, the open one too. Returns the bytes given back. `progress`, if there
  // is one, gets packs.
  Result<uint64_t> Everything(const WorkProgress& progress = nullptr);

  // Drops the pack if it has no live chunk. Returns the bytes given back; 0 if it stays.
  Result<uint64_t> DropIfDead(PackId pack);

  // While one lives, no pass runs (check, rewriting of a pack). Waits for the one that runs.
  class Turn {
   public:
    explicit Turn(Reclaimer& reclaim);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Reclaimer& reclaim_;
  };

 private:
  void Work();
  // The following are called by who has the turn.
  Result<uint64_t> Pass(bool seal_open, const WorkProgress& progress = nullptr);
  // The bytes of the file; 0 if the pack stays.
  Result<uint64_t> DropPack(PackId pack);
  Result<DropOutcome> DropRows(PackId pack, std::span<const ChunkId> ids);
  Result<std::vector<ChunkId>> ListedIds(PackId pack);
  Result<std::vector<ChunkId>> IdsByRows(PackId pack);
  void TrySuspects(const std::set<PackId>& suspects);

  const ReclaimParts parts_;
  Mutex mutex_;
  CondVar changed_;
  std::set<PackId> suspects_ GUARDED_BY(mutex_);
  bool passing_ GUARDED_BY(mutex_) = false;  // somebody has the turn
  bool news_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace dedupfs
