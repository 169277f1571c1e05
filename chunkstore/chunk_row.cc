#include "chunkstore/chunk_row.h"

#include <cstring>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunking/chunker.h"

namespace dedupfs {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kPackRowVersion = 2;
constexpr uint8_t kCondemnedFlag = 1;

static_assert(kChunkRowSize == 3 * sizeof(uint8_t) + 3 * sizeof(uint64_t) + 2 * sizeof(uint32_t) +
                                   sizeof(Fingerprint));
static_assert(kPackRowSize == sizeof(uint8_t) + 5 * sizeof(uint64_t));
static_assert(kTotalsRowSize == sizeof(uint8_t) + 7 * sizeof(uint64_t));

bool Plausible(const ChunkRow& row) {
  return row.location.pack != 0 && row.location.offset >= kPackHeaderSize && row.raw >= 1 &&
         row.raw <= kLargestChunk && row.location.stored >= 1 && row.location.stored <= row.raw;
}

}  // namespace

std::string EncodeChunkRow(const ChunkRow& row) {
  std::string out;
  out.reserve(kChunkRowSize);
  PutU8(out, kVersion);
  PutU8(out, row.condemned ? kCondemnedFlag : 0);
  PutU8(out, static_cast<uint8_t>(row.codec));
  PutU64(out, row.location.pack);
  PutU64(out, row.location.offset);
  PutU32(out, row.location.stored);
  PutU32(out, row.raw);
  PutU64(out, row.refcount);
  out.append(row.fingerprint.text());
  return out;
}

Result<ChunkRow> ParseChunkRow(std::string_view value, ChunkId id) {
  const std::string name = "row of chunk " + std::to_string(id);
  if (value.size() != kChunkRowSize) return Corrupt(name + " has a wrong length");
  Decoder in(value);
  if (in.U8() != kVersion) return Corrupt(name + " has an unknown version");
  const uint8_t flags = in.U8();
  const uint8_t codec = in.U8();
  ChunkRow row;
  row.condemned = (flags & kCondemnedFlag) != 0;
  row.location.pack = in.U64();
  row.location.offset = in.U64();
  row.location.stored = in.U32();
  row.raw = in.U32();
  row.refcount = in.U64();
  const std::string_view fingerprint = in.Take(sizeof row.fingerprint.bytes);
  if (!in.AtEnd()) return Corrupt(name + " has a wrong length");
  std::memcpy(row.fingerprint.bytes.data(), fingerprint.data(), fingerprint.size());
  if ((flags & ~kCondemnedFlag) != 0) return Corrupt(name + " has unknown flags");
  if (codec >= kCodecCount) return Corrupt(name + " has an unknown codec");
  row.codec = static_cast<Codec>(codec);
  if (!Plausible(row)) return Corrupt(name + " has an impossible location or length");
  return row;
}

std::string EncodePackRow(const PackRow& row) {
  std::string out;
  out.reserve(kPackRowSize);
  PutU8(out, kPackRowVersion);
  PutU64(out, row.live_bytes);
  PutU64(out, row.live_chunks);
  PutU64(out, row.total_chunks);
  PutU64(out, row.total_stored);
  PutU64(out, row.live_lz4_bytes);
  return out;
}

Result<PackRow> ParsePackRow(std::string_view value, PackId pack) {
  const std::string name = "row of pack " + std::to_string(pack);
  if (value.size() != kPackRowSize) return Corrupt(name + " has a wrong length");
  Decoder in(value);
  if (in.U8() != kPackRowVersion) return Corrupt(name + " has an unknown version");
  PackRow row;
  row.live_bytes = in.U64();
  row.live_chunks = in.U64();
  row.total_chunks = in.U64();
  row.total_stored = in.U64();
  row.live_lz4_bytes = in.U64();
  if (row.live_chunks > row.total_chunks || row.live_bytes > row.total_stored ||
      row.live_lz4_bytes > row.live_bytes) {
    return Corrupt(name + " has more live than it holds");
  }
  return row;
}

std::string EncodeTotalsRow(const TotalsRow& row) {
  std::string out;
  out.reserve(kTotalsRowSize);
  PutU8(out, kVersion);
  for (uint64_t value : {row.logical_bytes, row.unique_bytes, row.stored_bytes, row.chunks,
                         row.dead_stored_bytes, row.dead_chunks, row.packs}) {
    PutU64(out, value);
  }
  return out;
}

Result<TotalsRow> ParseTotalsRow(std::string_view value) {
  if (value.size() != kTotalsRowSize) return Corrupt("the totals row has a wrong length");
  Decoder in(value);
  if (in.U8() != kVersion) return Corrupt("the totals row has an unknown version");
  TotalsRow row;
  for (uint64_t* field : {&row.logical_bytes, &row.unique_bytes, &row.stored_bytes, &row.chunks,
                          &row.dead_stored_bytes, &row.dead_chunks, &row.packs}) {
    *field = in.U64();
  }
  return row;
}

std::string EncodeFingerprintEntry(ChunkId id) {
  std::string out;
  out.reserve(sizeof id);
  PutU64(out, id);
  return out;
}

Result<ChunkId> ParseFingerprintEntry(std::string_view value, const Fingerprint& fingerprint) {
  Decoder in(value);
  const ChunkId id = in.U64();
  if (!in.AtEnd() || id == 0) return Corrupt("fingerprint entry of " + fingerprint.Hex());
  return id;
}

}  // namespace dedupfs
