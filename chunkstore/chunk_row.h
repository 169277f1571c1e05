// The rows of the chunk index (format: docs/format/chunk-index.md): one for each chunk, one for
// each pack, and one with the totals of the store.
//
// Thread safety: pure functions and values.
// Errors:        parsers take any bytes, and give EIO naming the chunk or the pack.
// Units:         lengths and offsets are bytes; integers in values are little-endian.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

inline constexpr size_t kChunkRowSize = 67;
inline constexpr size_t kPackRowSize = 41;
inline constexpr size_t kTotalsRowSize = 57;
inline constexpr std::string_view kTotalsKey = "totals";

// Where and how a chunk is kept, and how many recipe references it has.
struct ChunkRow {
  Location location;
  uint32_t raw = 0;
  Codec codec = Codec::kRaw;
  bool condemned = false;
  uint64_t refcount = 0;
  Fingerprint fingerprint;

  bool operator==(const ChunkRow&) const = default;
};

// Sums over the chunk rows that lie in one pack. Live: with a count over zero.
struct PackRow {
  uint64_t live_bytes = 0;  // stored lengths, without record headers
  uint64_t live_chunks = 0;
  uint64_t total_chunks = 0;
  uint64_t total_stored = 0;    // as live_bytes, dead chunks too
  uint64_t live_lz4_bytes = 0;  // those of live_bytes whose codec is lz4: worth recompressing

  bool operator==(const PackRow&) const = default;
};

// Sums over all chunk rows, and the number of pack rows.
struct TotalsRow {
  uint64_t logical_bytes = 0;
  uint64_t unique_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t chunks = 0;
  uint64_t dead_stored_bytes = 0;
  uint64_t dead_chunks = 0;
  uint64_t packs = 0;

  bool operator==(const TotalsRow&) const = default;
};

std::string EncodeChunkRow(const ChunkRow& row);
Result<ChunkRow> ParseChunkRow(std::string_view value, ChunkId id);

std::string EncodePackRow(const PackRow& row);
Result<PackRow> ParsePackRow(std::string_view value, PackId pack);

std::string EncodeTotalsRow(const TotalsRow& row);
Result<TotalsRow> ParseTotalsRow(std::string_view value);

// The value of a fingerprint entry: a chunk id.
std::string EncodeFingerprintEntry(ChunkId id);
Result<ChunkId> ParseFingerprintEntry(std::string_view value, const Fingerprint& fingerprint);

}  // namespace dedupfs
