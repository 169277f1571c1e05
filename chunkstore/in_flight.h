// The chunks between Store and Commit, and the pins: which fingerprint somebody stores right now,
// which records are in packs but not yet in the database, which ids must not be dropped, and which
// are being dropped.
//
// The life of an entry: claimed (one caller looks the fingerprint up and stores it; others wait) ->
// resolved (its record lies in a pack; others share it) -> committed, or forgotten when its last
// pin goes. A claim whose chunk turns out to be in the database already is released. An id that is
// being dropped cannot be pinned: who wants it waits until the drop has ended either way, so that a
// fingerprint never gets a second id.
//
// Thread safety: every method may be called concurrently. Wait, Pin and WaitForAppends block; no
//                caller may hold an unresolved claim while it waits for another's.
// Errors:        none; misuse (releasing a pin that is not held) is ignored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "chunkstore/chunk_row.h"

namespace dedupfs {

class InFlight {
 public:
  struct Entry;
  using EntryPtr = std::shared_ptr<Entry>;

  enum class ClaimKind { kMine, kShared, kOther };
  struct ClaimResult {
    ClaimKind kind = ClaimKind::kOther;
    EntryPtr entry;  // kMine: to be resolved or released; kOther: to be waited for
    // kShared: the chunk, pinned. kMine: not 0 where an uncommitted record is known to be damaged
    // and must be written again under this id, which is pinned.
    ChunkId id = 0;
    PackId pack = 0;  // kShared: where it lies
  };
  // A record that was appended.
  struct Resolution {
    EntryPtr entry;
    ChunkId id = 0;
    ChunkRow row;
    bool pinned = false;  // by the caller already, as a replacement is
  };
  // A resolved entry as it was when it was collected.
  struct Pending {
    EntryPtr entry;
    ChunkRow row;
  };

  ClaimResult Claim(const Fingerprint& fingerprint);
  // Gives a claim up: whoever waits for it tries again. Nothing happens if it is resolved.
  void Release(const EntryPtr& claim);
  // Until the claim is resolved or released.
  void Wait(const EntryPtr& claim);

  // Around Packs::Append and the Resolve of what it wrote, so that reclaiming sees either the
  // append or its entries.
  uint64_t BeginAppend();
  void EndAppend(uint64_t ticket);
  // Waits for the end of every append that has begun.
  void WaitForAppends();
  // Makes the records known, and pins each id that is not pinned yet.
  void Resolve(std::span<const Resolution> resolutions);

  void Pin(std::span<const ChunkId> ids);
  void Unpin(std::span<const ChunkId> ids);

  // The row that a commit of the id would write: a count of 0.
  std::optional<ChunkRow> Find(ChunkId id) const;
  std::unordered_map<ChunkId, Pending> Collect(std::span<const ChunkId> ids) const;
  void MarkCommitted(std::span<const EntryPtr> entries);
  // Notes that an uncommitted record is damaged.
  void Condemn(ChunkId id, const Location& location);

  // False, and nothing is done, where an id is pinned or an uncommitted record lies in `pack`.
  bool BeginDrop(PackId pack, std::span<const ChunkId> ids);
  void EndDrop(std::span<const ChunkId> ids);

  size_t pinned() const;
  size_t entries() const;

 private:
  void ForgetLocked(ChunkId id) REQUIRES(mutex_);
  bool AnyDroppingLocked(std::span<const ChunkId> ids) const REQUIRES(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  std::unordered_map<Fingerprint, EntryPtr, FingerprintHash> by_fingerprint_ GUARDED_BY(mutex_);
  std::unordered_map<ChunkId, EntryPtr> by_id_ GUARDED_BY(mutex_);  // resolved, hence pinned
  std::unordered_map<ChunkId, uint32_t> pins_ GUARDED_BY(mutex_);
  std::unordered_set<ChunkId> dropping_ GUARDED_BY(mutex_);
  std::set<uint64_t> appends_ GUARDED_BY(mutex_);
  uint64_t next_append_ GUARDED_BY(mutex_) = 1;
};

}  // namespace dedupfs
