// Keeps a second record, in a pack of copies, of each chunk that has more references than so many
// (docs/architecture.md, "Extra copies").
//
// Works in slices of about 8 MiB of content. A pass heals known damage of which there is a copy (at
// most 64 chunks in a slice), then looks at the copies that there are (those of chunks that are
// gone are forgotten, those in sparse or missing packs made anew), then at all chunk rows. After it
// only chunks of which commits say that they have become often used.
//
// The copy of a condemned chunk may be its only whole record: it is never forgotten.
//
// Thread safety: every method may be called concurrently; slices run one at a time, in the turn of
//                the reclaimer.
// Ownership:     borrows everything in MakerParts.
// Durability:    a copy's record is synced before the row that names it; the row is buffered.
// Errors:        ENOSPC, EDQUOT: what the slice has not made a later one makes. Others of the disk:
//                the same; they do not make the store read-only, since nothing but copies is
//                concerned. A pack of copies counts as missing only where the directory can be
//                listed without it; an error of reading it ends the slice. Damage of a chunk's own
//                record is told to `condemn`, and no error.
// Units:         bytes; stored lengths are without record headers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/commit_group.h"
#include "chunkstore/copy_rescue.h"
#include "chunkstore/packs/packs.h"
#include "chunkstore/reclaim.h"
#include "chunkstore/space_guard.h"

namespace dedupfs {

struct MakerParts {
  Kv& kv;
  Packs& packs;
  Packs& copies;
  SpaceGuard& space;
  CommitGroup& commits;
  Reclaimer& reclaim;
  CopyRescue& rescue;
  std::function<void(ChunkId, const Location&)> condemn;
  uint64_t references = 0;  // more than so many: a copy; 0: none is made
};

// Tells `note`, if there is one, how many of `total` have been looked at.
struct CopyProgress {
  WorkProgress note;
  uint64_t total = 0;
  void Tell(uint64_t done) const {
    if (note) note(done < total ? done : total, total);
  }
};

class CopyMaker {
 public:
  explicit CopyMaker(MakerParts parts) : parts_(std::move(parts)) {}

  void NoteOftenUsed(std::span<const ChunkId> ids) EXCLUDES(mutex_);

  // One slice; what it made is added to `report`. False: there is nothing left to do now.
  Result<bool> Slice(CopyReport& report, const std::function<bool()>& cancelled);
  // A whole pass from its start. Its progress counts chunk rows, after each slice.
  Result<CopyReport> Everything(const std::function<bool()>& cancelled,
                                const CopyProgress& progress);
  // Forgets all copies and removes their packs. Condemned chunks are healed first; those that
  // cannot be keep their copies (CopyReport::kept_chunks). Its progress counts copies.
  Result<CopyReport> DropAll(const std::function<bool()>& cancelled, const CopyProgress& progress);
  // Removes packs of copies that no row names. Returns the bytes given back.
  Result<uint64_t> Reclaim();

 private:
  enum class Phase : uint8_t { kHeal, kPacks, kCopies, kChunks, kDone };
  struct Made {
    ChunkId id = 0;
    Fingerprint fingerprint;
    Location location;
  };

  enum class Dropping : uint8_t { kOfGoneChunks, kUnlessNeeded };

  // All of these are called by who has the turn, but for DropEach, which takes it.
  void StartPass();
  // Heals known damage after `last`, as after a repair. False: none is left to look at.
  Result<bool> HealSome(ChunkId& last, const std::function<bool()>& cancelled);
  Status LookAtPacks();
  Result<bool> IsMissing(PackId pack);
  Status LookAtCopies(std::vector<ChunkId>& wanted);
  Status LookAtChunks(std::vector<ChunkId>& wanted, const std::function<bool()>& cancelled);
  void TakeNoted(std::vector<ChunkId>& wanted) EXCLUDES(mutex_);
  Status Make(std::span<const ChunkId> ids, CopyReport& report,
              const std::function<bool()>& cancelled);
  Status Append(std::span<const ProvenRecord> records, CopyReport& report);
  Status Drop(std::span<const ChunkId> ids, Dropping which, CopyReport& report);
  Status DropEach(CopyReport& report, const std::function<bool()>& cancelled,
                  const CopyProgress& progress);
  Result<uint64_t> RemoveUnnamed();

  const MakerParts parts_;

  // Of who has the turn.
  Phase phase_ = Phase::kHeal;
  ChunkId last_ = 0;                    // looked at in this phase
  std::set<PackId> sparse_;             // packs whose copies are to be made anew
  std::set<PackId> missing_;            // packs whose copies are gone
  std::atomic<uint64_t> rows_seen_{0};  // chunk rows of this pass; who else asks only reads it

  Mutex mutex_;
  std::set<ChunkId> noted_ GUARDED_BY(mutex_);
  bool noted_too_many_ GUARDED_BY(mutex_) = false;  // a new pass finds them
};

}  // namespace dedupfs
