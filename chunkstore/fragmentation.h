// The bound on fragmentation: which chunks of a write, though stored already, are written again so
// that no 4 MiB logical segment is spread over more than 16 packs.
//
// Cost: chunks in the sparsest packs of a segment go first, so few bytes free many packs;
// RewriteCredit bounds their sum to 2 % of what is stored.
//
// Thread safety: pure functions.
// Units:         bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

inline constexpr uint64_t kSegmentBytes = 4ull << 20;
inline constexpr size_t kPacksPerSegment = 16;

// One request of a write, in order, whose chunk is in some pack already.
struct PlacedChunk {
  uint64_t logical_offset = 0;
  PackId pack = 0;
  uint32_t bytes = 0;
  size_t item = 0;       // names the chunk: two requests of one content have one item
  bool movable = false;  // we hold the claim of its fingerprint
};

// The items to write again, each once. `spend` is asked before the chunks of a pack are taken.
std::vector<size_t> ItemsToRewrite(std::span<const PlacedChunk> chunks,
                                   const std::function<bool(uint64_t)>& spend);

}  // namespace dedupfs
