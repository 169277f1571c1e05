// Extra copies: what their packs hold, the chunks that only they have, their rows and sums. The
// scratch database keeps, by the key of a copy row, the chunk row of its record. Where a pack
// cannot be listed, the rows tell where its copies lie.
#include <algorithm>
#include <cerrno>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rescue.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/index_repair.h"

namespace dedupfs {
namespace {

constexpr size_t kRowsAtOnce = 4096;

}  // namespace

Status IndexRepair::ScanCopies() {
  const auto names = parts_.env.List(parts_.copy_directory);
  if (!names) return names.error().code == ENOENT ? Ok() : Status(Fail(names.error()));
  DEDUPFS_ASSIGN_OR_RETURN(copies_,
                           Packs::Open(parts_.env, parts_.copy_directory, []() -> Result<PackId> {
                             return Fail(EROFS, "a repair appends nothing");
                           }));
  DEDUPFS_ASSIGN_OR_RETURN(const auto all, copies_->All());
  DEDUPFS_ASSIGN_OR_RETURN(const auto sums, LoadCopyPacks(parts_.kv));
  for (const PackId pack : all) {
    last_pack_ = std::max(last_pack_, pack);
    const auto named = sums.find(pack);
    DEDUPFS_RETURN_IF_ERROR(ScanCopyPack(pack, named == sums.end() ? 0 : named->second.chunks));
  }
  return Ok();
}

// Of two copies of one chunk the one that its row names counts, else the later one. `named_chunks`:
// how many rows name a copy in the pack.
Status IndexRepair::ScanCopyPack(PackId pack, uint64_t named_chunks) {
  Packs& copies = *copies_;
  const auto contents = copies.List(pack);
  // A torn end after a crash holds no copy that a row names, and is nothing to tell.
  if (!contents || (contents->damaged && contents->entries.size() < named_chunks)) {
    parts_.report(
        "packs of extra copies that cannot be read whole",
        PackFileName(pack) + ": " + (contents ? *contents->damaged : contents.error().message));
  }
  if (!contents) return Ok();
  std::vector<ChunkRow> rows(contents->entries.size());
  std::vector<char> right(rows.size(), 0);
  parts_.pool.ParallelFor(rows.size(), [&](size_t i) {
    const PackEntry& entry = contents->entries[i];
    rows[i].location = {pack, entry.offset, entry.header.stored};
    rows[i].raw = entry.header.raw;
    rows[i].codec = entry.header.codec;
    rows[i].fingerprint = entry.header.fingerprint;
    right[i] = entry.header.id != 0 &&
               ReadProven(copies, entry.header.id, rows[i], rows[i].location).has_value();
  });
  Batch batch;
  std::map<ChunkId, Location> taken;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ChunkId id = contents->entries[i].header.id;
    if (right[i] == 0) continue;
    last_chunk_ = std::max(last_chunk_, id);
    DEDUPFS_ASSIGN_OR_RETURN(const auto named, LoadCopies(parts_.kv, {&id, 1}));
    DEDUPFS_ASSIGN_OR_RETURN(const auto earlier, FoundCopy(id));
    std::optional<Location> before;
    if (earlier) before = earlier->location;
    if (const auto found = taken.find(id); found != taken.end()) before = found->second;
    if (before && before == named[0]) continue;
    taken[id] = rows[i].location;
    batch.Put(Family::kMeta, CopyKey(id), EncodeChunkRow(rows[i]));
  }
  return parts_.scratch.Write(batch, Durability::kBuffered);
}

Result<std::optional<ChunkRow>> IndexRepair::FoundCopy(ChunkId id) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, parts_.scratch.Get(Family::kMeta, CopyKey(id)));
  if (!value) return std::optional<ChunkRow>();
  DEDUPFS_ASSIGN_OR_RETURN(const ChunkRow row, ParseChunkRow(*value, id));
  return std::optional(row);
}

Result<std::optional<ChunkRow>> IndexRepair::WholeCopy(ChunkId id) {
  DEDUPFS_ASSIGN_OR_RETURN(std::optional<ChunkRow> found, FoundCopy(id));
  if (found || !copies_) return found;
  DEDUPFS_ASSIGN_OR_RETURN(const auto named, LoadCopies(parts_.kv, {&id, 1}));
  if (!named[0]) return found;
  Buffer record;
  const auto read = copies_->Read(*named[0], id, record);
  if (!read) return found;
  ChunkRow row;
  row.location = *named[0];
  row.raw = read->header.raw;
  row.codec = read->header.codec;
  row.fingerprint = read->header.fingerprint;
  if (ReadProven(*copies_, id, row, row.location)) found = row;
  return found;
}

Result<std::optional<std::pair<ChunkId, uint32_t>>> IndexRepair::NextCopied(ChunkId after) {
  std::optional<std::pair<ChunkId, uint32_t>> scanned;
  if (after == std::numeric_limits<ChunkId>::max()) return scanned;
  const auto rows =
      parts_.scratch.Iterate(Family::kMeta, CopyKey(after + 1), PrefixEnd(kCopyPrefix));
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  if (rows->Valid()) {
    const ChunkId id = ParseBigU64(rows->key().substr(kCopyPrefix.size()));
    DEDUPFS_ASSIGN_OR_RETURN(const ChunkRow row, ParseChunkRow(rows->value(), id));
    scanned = {id, row.raw};
  }
  // Before it there may be some that only their rows lead to.
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto named, ListCopies(parts_.kv, after, 1));
    if (named.empty() || (scanned && named[0].first >= scanned->first)) return scanned;
    after = named[0].first;
    DEDUPFS_ASSIGN_OR_RETURN(const auto whole, WholeCopy(after));
    if (whole) return std::optional(std::pair(after, whole->raw));
  }
}

// A chunk row does not name a record among the copies: where there was none, it names the pack that
// is never made.
Result<std::optional<ChunkRow>> IndexRepair::RowByCopy(ChunkId id,
                                                       const std::optional<ChunkRow>& old) {
  DEDUPFS_ASSIGN_OR_RETURN(std::optional<ChunkRow> row, WholeCopy(id));
  if (!row || (old && !(old->fingerprint == row->fingerprint))) return std::optional<ChunkRow>();
  only_copied_.push_back(id);
  if (old) return old;
  row->location = {lost_pack_, kPackHeaderSize, row->location.stored};
  lost_pack_used_ = true;
  return row;
}

Result<bool> IndexRepair::IsRightCopy(ChunkId id, const std::optional<Location>& at) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto found, WholeCopy(id));
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&id, 1}));
  return found && rows[0].row && at == found->location &&
         rows[0].row->fingerprint == found->fingerprint;
}

Status IndexRepair::MendCopies() {
  ChunkId last = 0;
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(parts_.kv, last, kRowsAtOnce));
    if (copies.empty()) break;
    last = copies.back().first;
    Batch batch;
    for (const auto& [id, at] : copies) {
      DEDUPFS_ASSIGN_OR_RETURN(const bool right, IsRightCopy(id, at));
      if (right) continue;
      parts_.report("extra copies that are damaged, or of no chunk", "chunk " + std::to_string(id));
      batch.Delete(Family::kMeta, CopyKey(id));
    }
    DEDUPFS_RETURN_IF_ERROR(parts_.kv.Write(batch, Durability::kBuffered));
  }
  Batch batch;
  for (const ChunkId id : only_copied_) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&id, 1}));
    if (!rows[0].row) continue;
    DEDUPFS_ASSIGN_OR_RETURN(const auto found, FoundCopy(id));
    DEDUPFS_ASSIGN_OR_RETURN(const auto named, LoadCopies(parts_.kv, {&id, 1}));
    if (!found || named[0] == found->location) continue;
    parts_.report("extra copies that no row named", "chunk " + std::to_string(id));
    batch.Put(Family::kMeta, CopyKey(id), EncodeCopyRow(found->location));
  }
  DEDUPFS_RETURN_IF_ERROR(parts_.kv.Write(batch, Durability::kBuffered));
  return MendCopySums();
}

Status IndexRepair::MendCopySums() {
  std::map<PackId, CopySums> real;
  ChunkId last = 0;
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(parts_.kv, last, kRowsAtOnce));
    if (copies.empty()) break;
    last = copies.back().first;
    for (const auto& [id, at] : copies) {
      ++real[at.pack].chunks;
      real[at.pack].stored_bytes += at.stored;
    }
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto stored, LoadCopyPacks(parts_.kv));
  for (const auto& [pack, sums] : stored) real.try_emplace(pack);
  Batch batch;
  for (const auto& [pack, sums] : real) {
    const auto before = stored.find(pack);
    if (before != stored.end() && before->second == sums) continue;
    parts_.report("sums of extra copies", "pack " + std::to_string(pack));
    batch.Put(Family::kMeta, CopyPackKey(pack), EncodeCopySums(sums));
  }
  return parts_.kv.Write(batch, Durability::kBuffered);
}

}  // namespace dedupfs
