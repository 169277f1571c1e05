// Gives the content of a chunk whose record is damaged from its extra copy, and heals the chunk:
// its content is appended as a fresh record, and its row names that.
//
// Thread safety: every method may be called concurrently.
// Ownership:     borrows everything in RescueParts.
// Durability:    as a commit: the fresh record is synced before the row that names it, and the row
//                is durable after a later synced commit. Before that a crash leaves the chunk as
//                it was, and its copy.
// Errors:        ENOENT: there is no copy, or none that is whole (any more). Others as Packs::Read.
//                Healing is best effort: what keeps it from being done is logged.
// Units:         bytes.
#pragma once

#include <functional>
#include <optional>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/commit_group.h"
#include "chunkstore/failure_latch.h"
#include "chunkstore/in_flight.h"
#include "chunkstore/packs/packs.h"
#include "chunkstore/space_guard.h"

namespace dedupfs {

// A record whose content was proven by its SHA-256. `stored` is a view into `record`.
struct ProvenRecord {
  RecordHeader header;
  Buffer record;
  Bytes stored;
  Buffer raw;
};

// Of the chunk that `row` is of, at `at`. ENOENT: no such pack. EIO: damage.
Result<ProvenRecord> ReadProven(Packs& packs, ChunkId id, const ChunkRow& row, const Location& at);

struct RescueParts {
  Kv& kv;
  Packs& packs;
  Packs* copies;  // null: the store has none
  InFlight& in_flight;
  SpaceGuard& space;
  CommitGroup& commits;
  FailureLatch& failure;
  bool read_only = false;  // nothing is healed
  // OK while the directory of the packs is there: where it is gone (the store was moved, the disk
  // unplugged), an append would only make the store read-only.
  std::function<Status()> reachable;
  // Told of each pack that is left without a live chunk.
  std::function<void(PackId)> pack_died;
};

class CopyRescue {
 public:
  explicit CopyRescue(RescueParts parts) : parts_(std::move(parts)) {}

  struct Rescued {
    Buffer raw;           // the chunk's content
    bool healed = false;  // the chunk has a whole record again
  };
  // `row`: as it is, of the record that is damaged.
  Result<Rescued> Rescue(ChunkId id, const ChunkRow& row);

  // Forgets a copy that is damaged, if it still lies there and its chunk is not condemned.
  Status DropCopy(ChunkId id, const Location& at);

 private:
  Result<ProvenRecord> FindCopy(ChunkId id, const ChunkRow& row);
  Result<bool> Heal(ChunkId id, const ChunkRow& row, const ProvenRecord& copy);

  const RescueParts parts_;
};

}  // namespace dedupfs
