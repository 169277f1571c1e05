// Rewrites one cold pack: its live chunks are compressed anew with zstd, appended to the open pack,
// and moved there (docs/architecture.md, "Recompression").
//
// Cost: reads the pack once, twice what is zstd already; memory is bounded by one slice of 8 MiB of
// content on each way, and some 100 bytes for each chunk of the pack.
//
// Thread safety: one thread for each; the caller has the turn of the reclaimer.
// Ownership:     borrows everything in RewriteParts.
// Durability:    the moves are buffered; the old pack is dead and still there.
// Errors:        ENOSPC, EDQUOT: no row has changed. A damaged record is condemned and stays where
//                it is. Another error of an append makes the store read-only.
// Units:         bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/commit_group.h"
#include "chunkstore/encode_chunks.h"
#include "chunkstore/failure_latch.h"
#include "chunkstore/packs/packs.h"
#include "chunkstore/space_guard.h"

namespace dedupfs {

struct RewriteParts {
  Kv& kv;
  Packs& packs;
  ThreadPool& pool;
  SpaceGuard& space;
  CommitGroup& commits;
  FailureLatch& failure;
  // Told of a record that does not verify.
  std::function<void(ChunkId, const Location&)> condemn;
  int zstd_level = 0;
};

// True if the sums of a pack say that rewriting it gains something.
bool IsWorthRewriting(const PackRow& row);

class PackRewrite {
 public:
  PackRewrite(const RewriteParts& parts, PackId pack) : parts_(parts), pack_(pack) {}

  // Nothing is done where the pack is open, or not worth it (any more). Asks `cancelled` between
  // slices; what was compressed until then is moved all the same.
  Result<MoveOutcome> Run(const std::function<bool()>& cancelled);

 private:
  // A chunk on its way.
  struct Piece {
    ChunkId id = 0;
    ChunkRow row;  // as it is now
    Buffer raw;
    Buffer record;         // as it is now, where it is kept as it is
    EncodedChunk encoded;  // how it will be
    Status status;
  };

  Result<std::vector<Piece>> LivePieces();
  void Prepare(Piece& piece) const;
  Status RewriteSlice(std::span<Piece> slice);
  Result<MoveOutcome> MoveAll();

  const RewriteParts& parts_;
  const PackId pack_;
  std::vector<ChunkMove> moves_;
};

}  // namespace dedupfs
