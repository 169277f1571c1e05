// Finds the byte ranges of files whose recipes name given chunks.
//
// Thread safety: pure functions over a Kv. Commits may go on: a recipe that is replaced meanwhile
//                is told as it was when the call began.
// Memory:        one recipe page.
// Errors:        those of the database. A page that does not parse is left to check.
// Units:         offsets and lengths are bytes of the file.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "chunkstore/base/kv.h"
#include "fs/damage.h"
#include "fs/types.h"

namespace dedupfs {

// A page of a recipe, and with it a place in the order of all of them.
struct RecipePlace {
  Ino ino = 0;
  uint64_t page = 0;
};

// Goes over all recipe pages from `from` on, and calls `visit` with the ranges of each page that
// names one of `ids` (ascending), until it returns false. Returns where to go on; nullopt at the
// end.
Result<std::optional<RecipePlace>> FindDamagedRanges(
    Kv& kv, std::span<const ChunkId> ids, RecipePlace from,
    const std::function<bool(Ino, std::vector<DamagedRange>)>& visit);

}  // namespace dedupfs
