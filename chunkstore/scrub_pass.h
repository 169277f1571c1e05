// One pass of a scrub: reads the record of every chunk that has a row, the dead ones too, and
// verifies its XXH3 and the SHA-256 of its decoded content (docs/architecture.md, "Scrubbing").
//
// A pass begins by going over all chunk rows once, and orders the packs by how often their chunks
// are referenced; then each pack is read once, from its start to its end. Packs whose table of
// contents does not lead to all of their chunks (a missing or truncated file, a damaged table) are
// looked at last, all together, by the chunk rows. After them come the extra copies of chunks.
//
// Cost: one core; memory for one pack's table of contents and rows, one chunk twice, and some 100
// bytes for each pack of the store while the pass begins.
//
// Thread safety: one thread for each, and one pass at a time in a store. Everything else may go on
//                beside it; it takes no turn and no lock over a pack.
// Ownership:     borrows everything in ScrubParts.
// Durability:    where it is, is handed to the kernel after each pack, and after the marks of the
//                chunks that it condemned there: a killed daemon loses one pack's work at the most.
// Errors:        damage is condemned, logged and counted; an error is another failure of reading
//                (out of memory or file descriptors) or of the database.
// Units:         bytes.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/failure_latch.h"
#include "chunkstore/packs/packs.h"
#include "chunkstore/scrub_rows.h"

namespace dedupfs {

struct ScrubParts {
  Kv& kv;
  Packs& packs;
  FailureLatch& failure;
  // Told of a record that does not verify, and of one that does though its chunk is condemned.
  // An error: nothing was marked, so the pass must not go past it.
  std::function<Status(ChunkId, const Location&)> condemn;
  std::function<void(ChunkId, const Location&)> absolve;
  // Told of a chunk that was condemned: heals it from its extra copy, if there is one.
  std::function<void(ChunkId, const ChunkRow&)> heal = nullptr;  // may be empty, as the next
  // Verifies the extra copies; tells how many bytes it has read, and gives false where it was told
  // to end.
  std::function<Result<bool>(const std::function<bool(uint64_t bytes)>& go_on)> scrub_copies =
      nullptr;
};

class ScrubPass {
 public:
  // Told where the pass is and how many bytes were read since it was last told; false ends the run.
  using GoOn = std::function<bool(const ScrubRecord&, uint64_t bytes)>;

  ScrubPass(const ScrubParts& parts, GoOn go_on) : parts_(parts), go_on_(std::move(go_on)) {}

  // Goes on with the pass that is under way, or begins one. False: `go_on` ended the run.
  Result<bool> Run(bool restart);

 private:
  struct Line {
    ChunkId id = 0;
    ChunkRow row;
  };

  Result<bool> Plan();
  Result<bool> ScrubPacks();
  // The chunks that the pack's own table leads to; nothing where it does not lead to all.
  Result<std::optional<std::vector<Line>>> ListedLines(PackId pack);
  Result<bool> ScrubByRows();
  Result<bool> Verify(std::vector<Line>& lines);
  Status ReadAndHash(std::span<Line> lines, std::span<Status> done);
  // What follows from one record's verification.
  Status Settle(Line& line, Status verified);
  Status Save(Batch batch);
  Status Finish();

  const ScrubParts& parts_;
  const GoOn go_on_;
  ScrubRecord record_;  // with what is not saved yet
  std::array<Buffer, 2> raw_;
};

}  // namespace dedupfs
