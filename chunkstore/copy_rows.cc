#include "chunkstore/copy_rows.h"

#include <algorithm>
#include <limits>

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kKeysAtOnce = 4096;

static_assert(kCopyRowSize == sizeof(uint8_t) + 2 * sizeof(uint64_t) + sizeof(uint32_t));
static_assert(kCopyPackRowSize == sizeof(uint8_t) + 2 * sizeof(uint64_t));

// Sums are derived data, as those of the packs: they never fall below zero.
uint64_t Shifted(uint64_t sum, int64_t change) {
  if (change >= 0) return sum + static_cast<uint64_t>(change);
  return sum - std::min(sum, static_cast<uint64_t>(-change));
}

}  // namespace

std::string CopyKey(ChunkId id) { return std::string(kCopyPrefix) + BigU64(id); }

std::string CopyPackKey(PackId pack) { return std::string(kCopyPackPrefix) + BigU64(pack); }

std::string EncodeCopyRow(const Location& location) {
  std::string out;
  out.reserve(kCopyRowSize);
  PutU8(out, kVersion);
  PutU64(out, location.pack);
  PutU64(out, location.offset);
  PutU32(out, location.stored);
  return out;
}

std::optional<Location> ParseCopyRow(std::string_view value) {
  Decoder in(value);
  const uint8_t version = in.U8();
  Location location;
  location.pack = in.U64();
  location.offset = in.U64();
  location.stored = in.U32();
  if (!in.AtEnd() || version != kVersion) return std::nullopt;
  if (location.pack == 0 || location.offset < kPackHeaderSize || location.stored == 0) {
    return std::nullopt;
  }
  return location;
}

std::string EncodeCopySums(const CopySums& sums) {
  std::string out;
  out.reserve(kCopyPackRowSize);
  PutU8(out, kVersion);
  PutU64(out, sums.chunks);
  PutU64(out, sums.stored_bytes);
  return out;
}

std::optional<CopySums> ParseCopySums(std::string_view value) {
  Decoder in(value);
  const uint8_t version = in.U8();
  CopySums sums;
  sums.chunks = in.U64();
  sums.stored_bytes = in.U64();
  if (!in.AtEnd() || version != kVersion) return std::nullopt;
  return sums;
}

Result<std::vector<std::optional<Location>>> LoadCopies(Kv& kv, std::span<const ChunkId> ids) {
  std::vector<std::optional<Location>> copies(ids.size());
  for (size_t start = 0; start < ids.size(); start += kKeysAtOnce) {
    const auto some = ids.subspan(start, std::min(kKeysAtOnce, ids.size() - start));
    std::vector<std::string> keys;
    keys.reserve(some.size());
    for (const ChunkId id : some) keys.push_back(CopyKey(id));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    DEDUPFS_ASSIGN_OR_RETURN(const auto values, kv.MultiGet(Family::kMeta, views));
    for (size_t i = 0; i < some.size(); ++i) {
      if (values[i]) copies[start + i] = ParseCopyRow(*values[i]);
    }
  }
  return copies;
}

Result<std::vector<std::pair<ChunkId, Location>>> ListCopies(Kv& kv, ChunkId after, size_t limit) {
  std::vector<std::pair<ChunkId, Location>> copies;
  if (after == std::numeric_limits<ChunkId>::max()) return copies;
  const auto rows = kv.Iterate(Family::kMeta, CopyKey(after + 1), PrefixEnd(kCopyPrefix));
  for (; rows->Valid() && copies.size() < limit; rows->Next()) {
    if (rows->key().size() != kCopyPrefix.size() + sizeof(ChunkId)) continue;
    copies.emplace_back(ParseBigU64(rows->key().substr(kCopyPrefix.size())),
                        ParseCopyRow(rows->value()).value_or(Location{}));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return copies;
}

Result<std::map<PackId, CopySums>> LoadCopyPacks(Kv& kv) {
  std::map<PackId, CopySums> packs;
  const auto rows = kv.Iterate(Family::kMeta, kCopyPackPrefix, PrefixEnd(kCopyPackPrefix));
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != kCopyPackPrefix.size() + sizeof(PackId)) continue;
    const PackId pack = ParseBigU64(rows->key().substr(kCopyPackPrefix.size()));
    packs[pack] = ParseCopySums(rows->value()).value_or(CopySums{});
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return packs;
}

Result<CopySums> SumCopies(Kv& kv) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto packs, LoadCopyPacks(kv));
  CopySums sum;
  for (const auto& [pack, sums] : packs) {
    sum.chunks += sums.chunks;
    sum.stored_bytes += sums.stored_bytes;
  }
  return sum;
}

void CopyChanges::Count(const Location& location, int64_t sign) {
  if (location.pack == 0) return;
  Change& change = packs_[location.pack];
  change.chunks += sign;
  change.stored_bytes += sign * static_cast<int64_t>(location.stored);
}

void CopyChanges::Put(ChunkId id, const std::optional<Location>& before, const Location& after) {
  if (before) Count(*before, -1);
  Count(after, 1);
  rows_.Put(Family::kMeta, CopyKey(id), EncodeCopyRow(after));
}

void CopyChanges::Drop(ChunkId id, const std::optional<Location>& before) {
  if (before) Count(*before, -1);
  rows_.Delete(Family::kMeta, CopyKey(id));
}

Status CopyChanges::AddTo(Kv& kv, Batch& batch) const {
  batch.Append(rows_);
  for (const auto& [pack, change] : packs_) {
    const std::string key = CopyPackKey(pack);
    DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv.Get(Family::kMeta, key));
    CopySums sums;
    if (value) sums = ParseCopySums(*value).value_or(CopySums{});
    sums.chunks = Shifted(sums.chunks, change.chunks);
    sums.stored_bytes = Shifted(sums.stored_bytes, change.stored_bytes);
    batch.Put(Family::kMeta, key, EncodeCopySums(sums));
  }
  return Ok();
}

Status DropCopiesOf(Kv& kv, std::span<const ChunkId> ids, Batch& batch) {
  {
    const auto any = kv.Iterate(Family::kMeta, kCopyPackPrefix, PrefixEnd(kCopyPackPrefix));
    DEDUPFS_RETURN_IF_ERROR(any->status());
    if (!any->Valid()) return Ok();
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(kv, ids));
  CopyChanges changes;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (copies[i]) changes.Drop(ids[i], copies[i]);
  }
  return changes.AddTo(kv, batch);
}

}  // namespace dedupfs
