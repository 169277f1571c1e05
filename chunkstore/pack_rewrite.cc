#include "chunkstore/pack_rewrite.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/chunk_reader.h"
#include "chunkstore/chunk_table.h"

namespace dedupfs {
namespace {

constexpr uint64_t kSliceBytes = 8ull << 20;
// Of one batch, so that commits between them wait for moments only.
constexpr size_t kMovesAtOnce = 8192;

bool SaysDamage(const Error& error) { return error.code == EIO || error.code == ENOENT; }

}  // namespace

bool IsWorthRewriting(const PackRow& row) {
  if (row.live_chunks == 0) return false;
  const bool recompressible = row.live_lz4_bytes > 0 && row.live_lz4_bytes >= row.live_bytes / 10;
  const bool sparse = row.live_bytes < row.total_stored / 5 * 3;
  return recompressible || sparse;
}

Result<MoveOutcome> PackRewrite::Run(const std::function<bool()>& cancelled) {
  DEDUPFS_RETURN_IF_ERROR(parts_.failure.Check());
  if (parts_.packs.IsOpen(pack_)) return MoveOutcome{};
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadPackRows(parts_.kv, {&pack_, 1}));
  if (!rows[0].row || !IsWorthRewriting(*rows[0].row)) return MoveOutcome{};
  DEDUPFS_ASSIGN_OR_RETURN(std::vector<Piece> pieces, LivePieces());
  uint64_t bytes = 0;
  for (const Piece& piece : pieces) bytes += kRecordHeaderSize + piece.row.location.stored;
  DEDUPFS_RETURN_IF_ERROR(parts_.space.Check(bytes));
  for (size_t start = 0; start < pieces.size();) {
    if (cancelled && cancelled()) break;
    size_t end = start;
    for (uint64_t raw = 0; end < pieces.size() && raw < kSliceBytes; ++end) {
      raw += pieces[end].row.raw;
    }
    const auto slice = std::span(pieces).subspan(start, end - start);
    DEDUPFS_RETURN_IF_ERROR(RewriteSlice(slice));
    for (Piece& piece : slice) piece = Piece();
    start = end;
  }
  return MoveAll();
}

Result<std::vector<PackRewrite::Piece>> PackRewrite::LivePieces() {
  std::vector<Piece> pieces;
  const auto contents = parts_.packs.List(pack_);
  if (!contents) {
    // Its chunks are condemned where they are read; other packs can be rewritten all the same.
    LogWarn("rewrite_skipped", contents.error().message);
    return pieces;
  }
  std::vector<ChunkId> ids;
  ids.reserve(contents->entries.size());
  for (const PackEntry& entry : contents->entries) ids.push_back(entry.header.id);
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
  for (size_t i = 0; i < ids.size(); ++i) {
    const PackEntry& entry = contents->entries[i];
    if (!rows[i].row) continue;
    const ChunkRow& row = *rows[i].row;
    if (row.refcount == 0 || row.condemned) continue;
    if (!(row.location == Location{pack_, entry.offset, entry.header.stored})) continue;
    Piece& piece = pieces.emplace_back();
    piece.id = ids[i];
    piece.row = row;
  }
  return pieces;
}

void PackRewrite::Prepare(Piece& piece) const {
  piece.status = ReadRecord(parts_.packs, piece.id, piece.row, piece.raw);
  if (!piece.status) return;
  // The old record goes: its content must be proven by more than the checksum of the record.
  if (!(FingerprintOf(piece.raw) == piece.row.fingerprint)) {
    piece.status = Corrupt("the content does not have the SHA-256 of the chunk");
    return;
  }
  piece.encoded.data = piece.raw;
  if (piece.row.codec != Codec::kZstd) {
    EncodeCold(piece.encoded, piece.row.codec == Codec::kRaw, parts_.zstd_level);
    // The old record goes, so the new one must be known to decode.
    Buffer decoded(piece.raw.size());
    if (!Decompress(piece.encoded.codec, piece.encoded.stored, decoded) || decoded != piece.raw) {
      LogError("codec_failed", "chunk " + std::to_string(piece.id) + ": stored raw");
      piece.encoded.codec = Codec::kRaw;
      piece.encoded.stored = piece.raw;
    }
    return;
  }
  const auto record = parts_.packs.Read(piece.row.location, piece.id, piece.record);
  if (!record) {
    piece.status = Fail(record.error());
    return;
  }
  piece.encoded.codec = Codec::kZstd;
  piece.encoded.stored = record->stored;
}

Status PackRewrite::RewriteSlice(std::span<Piece> slice) {
  parts_.pool.ParallelFor(slice.size(), [&](size_t i) { Prepare(slice[i]); });
  std::vector<RecordInput> records;
  std::vector<const Piece*> written;
  records.reserve(slice.size());
  written.reserve(slice.size());
  for (const Piece& piece : slice) {
    if (!piece.status) {
      if (!SaysDamage(piece.status.error())) return piece.status;
      LogError("chunk_damaged", "chunk " + std::to_string(piece.id) + " of pack " +
                                    std::to_string(pack_) + ": " + piece.status.error().message);
      parts_.condemn(piece.id, piece.row.location);
      continue;
    }
    records.push_back({{piece.id, piece.row.fingerprint, piece.encoded.codec, piece.row.raw,
                        static_cast<uint32_t>(piece.encoded.stored.size())},
                       piece.encoded.stored});
    written.push_back(&piece);
  }
  auto locations = parts_.packs.Append(records);
  if (!locations) {
    parts_.failure.SetUnlessFull(locations.error());
    return Fail(std::move(locations.error()));
  }
  for (size_t i = 0; i < written.size(); ++i) {
    const Piece& piece = *written[i];
    moves_.push_back({piece.id, piece.row.location, (*locations)[i], piece.encoded.codec});
  }
  return Ok();
}

Result<MoveOutcome> PackRewrite::MoveAll() {
  MoveOutcome sum;
  const std::span<const ChunkMove> moves(moves_);
  for (size_t start = 0; start < moves.size(); start += kMovesAtOnce) {
    const size_t count = std::min(kMovesAtOnce, moves.size() - start);
    DEDUPFS_ASSIGN_OR_RETURN(const MoveOutcome moved,
                             parts_.commits.Move(moves.subspan(start, count)));
    sum.chunks += moved.chunks;
    sum.bytes_before += moved.bytes_before;
    sum.bytes_after += moved.bytes_after;
  }
  return sum;
}

}  // namespace dedupfs
