// Commits in groups: concurrent commits share one sync of the packs and one batch of the database.
//
// Whoever finds itself first in the queue leads: it takes what is queued, sums the count changes,
// collects the uncommitted records that they name, syncs the packs, and only then reads, changes
// and writes the rows. Collecting before syncing is what keeps the promise that the database never
// names bytes that are not durable. There is one leader at a time, and every change of a chunk row,
// a pack row or the totals is made by one, so that rows are read, changed and written without a
// race; drops of packs, moves and condemnations go through the same queue for that reason.
//
// Thread safety: every method may be called concurrently.
// Ownership:     borrows everything in CommitParts.
// Durability:    as ChunkStore::Commit says. Drop: synced.
// Errors:        a member with an impossible count change fails alone, with ERANGE. A failed sync
// or
//                write fails the group and makes the store read-only.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/failure_latch.h"
#include "chunkstore/in_flight.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

struct CommitParts {
  Kv& kv;
  Packs& packs;
  InFlight& in_flight;
  FailureLatch& failure;
  // Called, by a leader, with each pack that a group left without a live chunk.
  std::function<void(PackId)> pack_died;
  // Told, by a leader, of chunks that have more references than so many since this commit. 0:
  // never.
  uint64_t often_used_above = 0;
  std::function<void(std::span<const ChunkId>)> became_often_used;
};

enum class DropOutcome {
  kDropped,
  kLive,        // a chunk of the pack is referenced: nothing was changed
  kUnaccounted  // the ids given are not all the chunks that the pack row counts: nothing was
                // changed
};

// A record of a committed chunk that was appended once more, elsewhere.
struct ChunkMove {
  ChunkId id = 0;
  Location from;
  Location to;
  Codec codec = Codec::kRaw;  // of the new record
};

// What of the moves given has become true.
struct MoveOutcome {
  uint64_t chunks = 0;
  uint64_t bytes_before = 0;  // stored lengths
  uint64_t bytes_after = 0;
};

class CommitGroup {
 public:
  explicit CommitGroup(CommitParts parts);

  Status Commit(Batch batch, std::span<const CountChange> changes, Durability durability);
  // Marks the chunk's row as damaged if it still lies there.
  Status Condemn(ChunkId id, const Location& location);
  // Takes the mark back if it still lies there: its record was found whole.
  Status Absolve(ChunkId id, const Location& location);
  // Syncs the packs, then gives each chunk that is live, not condemned and still lies at `from` its
  // new place. Others are left alone. Ids are unique. Buffered: the old records may go only after a
  // later synced batch.
  Result<MoveOutcome> Move(std::span<const ChunkMove> moves);
  // Deletes the rows of dead chunks that lie in the pack, the fingerprint entries that name them,
  // and the pack row. All of `ids`, marked as dropping by the caller, are looked at.
  Result<DropOutcome> Drop(PackId pack, std::span<const ChunkId> ids);
  // Has the leader, alone, call `make` and write the batch that it returns: rows that `make` reads
  // are still so when they are written. What the batch names, the caller has synced before.
  Status Change(const std::function<Result<Batch>()>& make, Durability durability);

  // Counts and logs chunks that a Change gave whole records again.
  void NoteHealed(std::span<const ChunkId> ids);
  // Condemned chunks that got a whole record again, or were found to have one, since the start.
  uint64_t healed() const { return healed_.load(); }

 private:
  struct Member;
  Status Submit(Member& member) EXCLUDES(mutex_);
  std::vector<Member*> TakeGroup() REQUIRES(mutex_);
  void Run(std::span<Member* const> group);
  Status RunCommits(std::span<Member* const> group);
  Status RunDrop(Member& member);
  Status RunMove(Member& member);
  Status RunMark(const Member& member, bool condemned);
  Status RunChange(const Member& member);
  Status SyncPacks();
  Status Write(const Batch& batch, Durability durability);

  const CommitParts parts_;
  std::atomic<uint64_t> healed_{0};
  Mutex mutex_;
  CondVar changed_;
  std::deque<Member*> queue_ GUARDED_BY(mutex_);
  bool leading_ GUARDED_BY(mutex_) = false;
};

}  // namespace dedupfs
