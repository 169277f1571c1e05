// The part of a scrub that verifies extra copies: the record of each, by its XXH3 and the SHA-256
// of its decoded content. A copy that is damaged is forgotten, so that a new one is made; not
// where its chunk is condemned.
//
// Thread safety: one scrub at a time; everything else may go on beside it.
// Ownership:     borrows everything in its arguments.
// Durability:    as CopyRescue::DropCopy.
// Errors:        another failure of reading than damage, or of the database.
// Units:         bytes.
#pragma once

#include <functional>
#include <span>

#include "chunkstore/base/kv.h"
#include "chunkstore/copy_rescue.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

struct ScrubCopiesParts {
  Kv& kv;
  Packs& copies;
  CopyRescue& rescue;
  // Told of chunks whose copies were damaged.
  std::function<void(std::span<const ChunkId>)> damaged;
};

// False: `go_on` ended it.
Result<bool> ScrubCopies(const ScrubCopiesParts& parts,
                         const std::function<bool(uint64_t bytes)>& go_on);

}  // namespace dedupfs
