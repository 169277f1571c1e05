// Where a chunk ends: a pure function of the content from the chunk's start on
// (docs/format/chunking.md).
//
// Content-defined: the windowed minimum of DESIGN section 4 ("MinCDC"). Fixed: every `average`.
//
// Thread safety: pure functions.
// Units:         bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"

namespace dedupfs {

enum class ChunkingKind : uint8_t { kContentDefined = 0, kFixed = 1 };

// How a file is chunked; kept in its content record, so the values are part of the format.
struct ChunkPolicy {
  ChunkingKind kind = ChunkingKind::kContentDefined;
  uint32_t average = 32 << 10;  // 16 to 256 KiB, or 4 to 128 KiB fixed; a power of two

  // No chunk but the last of a run of data is shorter, and none is longer.
  uint32_t min() const { return kind == ChunkingKind::kFixed ? average : average * 2 / 5; }
  uint32_t max() const { return kind == ChunkingKind::kFixed ? average : average * 8 / 5; }
  bool operator==(const ChunkPolicy&) const = default;
};
inline constexpr uint32_t kLargestChunk = (256 << 10) * 8 / 5;

// EINVAL, naming the value, for a policy outside the ranges above.
Status ValidatePolicy(const ChunkPolicy& policy);

// The length of the first chunk of `data`, which starts at a boundary and holds all the content up
// to the next hole or the end of the file, or its first policy.max() bytes where it is longer.
// Requires a non-empty `data` and a valid policy. The cut is final (no content after `data` can
// change it) if data.size() >= policy.max(), or at the true end of the data.
size_t FindCut(const ChunkPolicy& policy, Bytes data);

}  // namespace dedupfs
