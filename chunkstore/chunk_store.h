// The content-addressed store of chunks: deduplicates, compresses, packs, counts, reads back and
// reclaims them. Knows bytes and chunks, never files. (How it works: docs/architecture.md; rows:
// docs/format/chunk-index.md.)
//
// Thread safety: every public method may be called concurrently.
// Ownership:     borrows `env`, `kv` and `pool`, which outlive it. Pins must be gone before it is.
// Durability:    Commit(kSynced) returns OK only when its batch, every earlier Commit's and every
//                chunk that they count would survive a power cut. Commit(kBuffered) writes its
//                batch after syncing the packs, so the database never names bytes that are not
//                durable; the batch itself is durable after a later synced Commit or SyncLog.
// Errors:        ENOSPC from Store: nothing is changed. After a failed sync or log write the
//                store is read-only: Store and Commit return EROFS with the first error's message.
//                EIO from Read names chunk and pack. Other errors of the disk are EIO, too: one
//                of our own files that is missing is no ENOENT to a caller.
// Units:         bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunking/chunker.h"
#include "chunkstore/packs/pack_format.h"
#include "chunkstore/scrub_status.h"

namespace dedupfs {

class ChunkStore;

// Keeps chunks from being dropped until it is destroyed: held from Store() or Pin() until the
// Commit() that counts them has returned. Move-only; belongs to one thread at a time.
class Pins {
 public:
  Pins() = default;
  Pins(Pins&& other) noexcept;
  Pins& operator=(Pins&& other) noexcept;
  ~Pins();
  void Merge(Pins other);
  size_t size() const { return ids_.size(); }

 private:
  friend class ChunkStore;
  ChunkStore* store_ = nullptr;
  std::vector<ChunkId> ids_;
};

// By how much a commit changes the reference count of a chunk.
struct CountChange {
  ChunkId id = 0;
  int64_t delta = 0;
};

// Remembers for one file what the codec probe said (a hint: any value gives right results).
// Thread safety: used by one Store at a time.
struct CodecHint {
  enum class Verdict : uint8_t { kUnknown, kCompress, kRaw } verdict = Verdict::kUnknown;
  uint32_t raw_in_a_row = 0;
};

// One chunk to be stored. `data` and `hint` live until Store returns. `logical_offset` is where the
// chunk lies in its file: Store keeps the fragmentation of each 4 MiB logical segment bounded
// (DESIGN section 4); chunks of one file come in ascending order and one after another.
struct StoreRequest {
  Bytes data;
  uint64_t logical_offset = 0;
  CodecHint* hint = nullptr;
};

struct StoreStats {
  // Sums over committed chunks with a count over zero.
  uint64_t logical_bytes = 0;  // count * raw length
  uint64_t unique_bytes = 0;   // raw length
  uint64_t stored_bytes = 0;   // stored length, without record headers
  uint64_t chunks = 0;
  // Of committed chunks with a count of zero, whose bytes wait in packs to be reclaimed.
  uint64_t dead_stored_bytes = 0;
  uint64_t dead_chunks = 0;
  // Second records of chunks that have many references.
  uint64_t copy_chunks = 0;
  uint64_t copy_stored_bytes = 0;
  uint64_t copy_pack_bytes = 0;  // all pack files of copies
  uint64_t pack_bytes = 0;       // all other pack files
  uint64_t metadata_bytes = 0;   // all files of the database
  uint64_t packs = 0;            // with a row
  uint64_t damaged_chunks = 0;   // condemned now
  uint64_t healed_chunks = 0;    // condemned ones that are whole again, since the store was opened
  uint64_t physical_bytes() const { return pack_bytes + copy_pack_bytes + metadata_bytes; }
};

// Where and how one chunk is kept (virtual xattrs, check).
struct ChunkInfo {
  ChunkId id = 0;
  Location location;
  uint32_t raw = 0;
  uint64_t refcount = 0;
  bool condemned = false;
  Fingerprint fingerprint;
};

// Told how far long work is.
using WorkProgress = std::function<void(uint64_t done, uint64_t total)>;

// What rewriting has done.
struct RewriteReport {
  uint64_t packs = 0;         // out of which chunks were moved
  uint64_t bytes_before = 0;  // stored lengths of the moved chunks
  uint64_t bytes_after = 0;
};

// What was done about extra copies.
struct CopyReport {
  uint64_t made_chunks = 0;
  uint64_t made_bytes = 0;  // stored lengths
  uint64_t dropped_chunks = 0;
  uint64_t kept_chunks = 0;  // not dropped: of condemned chunks, of which no other record is whole
  uint64_t freed_bytes = 0;  // of files
};

struct ChunkStoreOptions {
  uint64_t chunk_cache_bytes = 128ull << 20;
  uint64_t reserve_bytes = 256ull << 20;  // Store gives ENOSPC rather than use the last of the disk
  bool read_only = false;                 // no background work, Store and Commit are EROFS
  // Rewriting of cold packs with zstd, in the background: only while nobody has called Store or
  // Commit for so long and at least half of the cores idle.
  bool recompress = true;
  std::chrono::milliseconds recompress_after_quiet{10'000};
  int cold_zstd_level = 6;
  // Where packs of copies lie: made where it is needed. Empty: nothing is known of copies.
  std::string copy_directory;
  // Each chunk with more references gets an extra copy, in the background by the rules of
  // recompression. 0: none is made; those that are there are kept and used.
  uint64_t extra_copy_references = 0;
  std::function<double()> idle_share;  // since last asked, 0 to 1; empty: the machine's
};

class ChunkStore {
 public:
  // `pack_directory` exists. O(1) in the size of the store.
  static Result<std::unique_ptr<ChunkStore>> Open(Env& env, Kv& kv, ThreadPool& pool,
                                                  std::string pack_directory,
                                                  const ChunkStoreOptions& options);
  // Waits for background work; what was not committed is lost.
  ~ChunkStore();

  // Finds or stores each chunk and adds a pin of each to `pins`. Uses all cores. The same content
  // twice, also by two callers at once, is stored once. Returns the ids in order.
  Result<std::vector<ChunkId>> Store(std::span<const StoreRequest> requests, Pins& pins);

  // Pins chunks that a committed recipe names (to count them once more). ENOENT if one is gone
  // meanwhile: read the recipe again.
  Status Pin(std::span<const ChunkId> ids, Pins& pins);

  // Fills `out` with the chunk's raw bytes from `offset` on; offset + out.size() <= its raw length.
  // ENOENT: no such chunk (a recipe read before it was replaced: read it again). EIO: damaged; the
  // chunk is condemned, so that no new write deduplicates against it.
  Status Read(ChunkId id, uint32_t offset, MutableBytes out);
  // Reads several at once on all cores. Each item is as for Read; the first error is returned.
  struct ReadItem {
    ChunkId id = 0;
    uint32_t offset = 0;
    MutableBytes out;
  };
  Status ReadMany(std::span<const ReadItem> items);

  // Writes `batch` and applies the count changes in one atomic batch, after syncing the packs if
  // a change is positive. Concurrent calls share one sync and one batch (a commit group). Every
  // chunk with a positive delta is pinned by the caller. ERANGE, and nothing is written, if a count
  // would fall below zero (a broken invariant: named in the message).
  Status Commit(Batch batch, std::span<const CountChange> changes, Durability durability);
  // Makes all earlier commits durable.
  Status SyncLog();

  // EROFS/EIO and why, where the store has turned read-only by a failure.
  Status Failure() const;
  Result<StoreStats> Stats();
  Result<std::vector<std::optional<ChunkInfo>>> Lookup(std::span<const ChunkId> ids);

  // Drops wholly dead packs and pack files that nothing names, now (also runs in the background
  // after commits that leave a pack wholly dead). Returns the bytes given back. `progress`, if
  // there is one, gets packs.
  Result<uint64_t> Reclaim(const WorkProgress& progress = nullptr);

  // Seals the open pack, rewrites with zstd all packs that are worth it (lz4 in them, or under 60 %
  // live), and drops the dead ones. Waits neither for quiet nor for idle cores. Asks `cancelled`,
  // if there is one, every few MiB; what is done stays done. ENOSPC: the pack at hand is as it was.
  // `progress`, if there is one, gets stored bytes, after each pack.
  Result<RewriteReport> Recompress(const std::function<bool()>& cancelled,
                                   const WorkProgress& progress = nullptr);

  // Makes the extra copies that are missing, now, and those anew whose packs are sparse. EINVAL
  // where none are wanted. ENOSPC: what is done stays done. Both ask `cancelled`, if there is one.
  // `progress`, if there is one, gets chunks: all that have a row are looked at.
  Result<CopyReport> MakeCopies(const std::function<bool()>& cancelled,
                                const WorkProgress& progress = nullptr);
  // Forgets all extra copies and gives their space back. `progress` gets copies.
  Result<CopyReport> DropCopies(const std::function<bool()>& cancelled,
                                const WorkProgress& progress = nullptr);

  // Read-only verification, in memory bounded by one pack: every chunk row's record is whole, its
  // checksum and SHA-256 hold, fingerprint entries and rows agree, pack rows are right. `counts`
  // gives the true reference count of chunks, ascending by id (an empty optional at the end): the
  // caller derives it from the recipes. Each problem goes to `report` with the chunk (or 0).
  struct CheckProgress {
    uint64_t bytes_done = 0, bytes_total = 0;
  };
  struct CheckHooks {
    std::function<Result<std::optional<std::pair<ChunkId, uint64_t>>>()> next_count;
    std::function<void(ChunkId, const std::string&)> report;
    std::function<void(const CheckProgress&)> progress;
  };
  Status Check(const CheckHooks& hooks);

  // Begins to verify the record of every chunk, on a thread of its own, beside all other work; goes
  // on where an earlier scrub was cancelled or killed. Damage is condemned. Where a scrub runs, it
  // gets the new rate (EBUSY for a restart). EROFS.
  Status StartScrub(const ScrubOptions& options);
  void CancelScrub();
  // Waits until no scrub runs, so long at the most, and tells how things are.
  Result<ScrubStatus> WaitForScrub(std::chrono::milliseconds time);
  // At most `limit` condemned chunks with ids greater than `after`, ascending.
  Result<std::vector<ChunkId>> DamagedChunks(ChunkId after, size_t limit);

  // The error that a full disk gives a write of `bytes` more now; OK while there is room. Cheap:
  // asks the disk at most every 100 ms or 32 MiB.
  Status CheckSpace(uint64_t bytes);

 private:
  friend class Pins;
  struct Parts;
  explicit ChunkStore(std::unique_ptr<Parts> parts);
  void Unpin(std::span<const ChunkId> ids);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dedupfs
