#include "chunkstore/count_ledger.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/damage_list.h"

namespace dedupfs {
namespace {

// Sums are derived data: where one is wrong, that is logged and `check` tells, but no commit fails.
void Shift(uint64_t& sum, int64_t change, bool& wrong) {
  const auto size = static_cast<uint64_t>(change < 0 ? -change : change);
  if (change >= 0) {
    sum += size;
  } else if (sum >= size) {
    sum -= size;
  } else {
    sum = 0;
    wrong = true;
  }
}

std::string RangeMessage(ChunkId id, uint64_t count, int64_t change) {
  return "the count of chunk " + std::to_string(id) + " is " + std::to_string(count) +
         " and cannot change by " + std::to_string(change);
}

}  // namespace

void SumChanges::Count(const ChunkRow& row, int64_t sign) {
  const int64_t stored = sign * static_cast<int64_t>(row.location.stored);
  const int64_t raw = sign * static_cast<int64_t>(row.raw);
  PackChange& pack = packs_[row.location.pack];
  pack.total_chunks += sign;
  pack.total_stored += stored;
  if (row.refcount == 0) {
    totals_.dead_stored += stored;
    totals_.dead_chunks += sign;
    return;
  }
  pack.live_chunks += sign;
  pack.live_bytes += stored;
  if (row.codec == Codec::kLz4) pack.live_lz4 += stored;
  totals_.logical += raw * static_cast<int64_t>(row.refcount);
  totals_.unique += raw;
  totals_.stored += stored;
  totals_.chunks += sign;
}

Result<std::vector<PackId>> SumChanges::Put(Kv& kv, Batch& batch) const {
  std::vector<PackId> ids;
  ids.reserve(packs_.size());
  for (const auto& [pack, change] : packs_) ids.push_back(pack);
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadPackRows(kv, ids));
  DEDUPFS_ASSIGN_OR_RETURN(TotalsRow totals, LoadTotals(kv));
  std::vector<PackId> died;
  bool wrong = false;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (std::find(forgotten_.begin(), forgotten_.end(), ids[i]) != forgotten_.end()) continue;
    const PackChange& change = packs_.at(ids[i]);
    if (rows[i].damage) {  // stays for check to tell, and keeps the pack from being dropped
      wrong = true;
      continue;
    }
    if (!rows[i].row) ++totals.packs;
    PackRow row = rows[i].row.value_or(PackRow{});
    Shift(row.live_bytes, change.live_bytes, wrong);
    Shift(row.live_chunks, change.live_chunks, wrong);
    Shift(row.total_chunks, change.total_chunks, wrong);
    Shift(row.total_stored, change.total_stored, wrong);
    Shift(row.live_lz4_bytes, change.live_lz4, wrong);
    batch.Put(Family::kPack, BigU64(ids[i]), EncodePackRow(row));
    if (row.live_chunks == 0) died.push_back(ids[i]);
  }
  for (PackId pack : forgotten_) {
    batch.Delete(Family::kPack, BigU64(pack));
    Shift(totals.packs, -1, wrong);
  }
  Shift(totals.logical_bytes, totals_.logical, wrong);
  Shift(totals.unique_bytes, totals_.unique, wrong);
  Shift(totals.stored_bytes, totals_.stored, wrong);
  Shift(totals.chunks, totals_.chunks, wrong);
  Shift(totals.dead_stored_bytes, totals_.dead_stored, wrong);
  Shift(totals.dead_chunks, totals_.dead_chunks, wrong);
  batch.Put(Family::kMeta, kTotalsKey, EncodeTotalsRow(totals));
  if (wrong) LogError("index_sums_wrong", "run check");
  return died;
}

Result<CountLedger> CountLedger::Load(
    Kv& kv, std::span<const ChunkId> ids,
    const std::unordered_map<ChunkId, InFlight::Pending>& pending) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(kv, ids));
  CountLedger ledger(kv);
  for (size_t i = 0; i < ids.size(); ++i) {
    Line& line = ledger.lines_[ids[i]];
    line.before = rows[i].row;
    line.damage = rows[i].damage;
    line.after = line.before;
    const auto found = pending.find(ids[i]);
    if (found == pending.end()) continue;
    line.after = found->second.row;
    line.after->refcount = line.before ? line.before->refcount : 0;
    line.entry = found->second.entry;
  }
  return ledger;
}

Status CountLedger::Apply(std::span<const CountChange> changes) {
  std::map<ChunkId, int64_t> sums;
  for (const CountChange& change : changes) {
    if (__builtin_add_overflow(sums[change.id], change.delta, &sums[change.id])) {
      return Fail(ERANGE, "the changes of chunk " + std::to_string(change.id) + " overflow");
    }
  }
  for (const auto& [id, sum] : sums) {
    const auto found = lines_.find(id);
    if (found == lines_.end()) return Fail(ERANGE, RangeMessage(id, 0, sum));
    const Line& line = found->second;
    if (line.damage) return Fail(*line.damage);
    if (!line.after) return Fail(ERANGE, "there is no chunk " + std::to_string(id) + " to count");
    const uint64_t count = line.after->refcount;
    const bool below = sum < 0 && count < uint64_t{0} - static_cast<uint64_t>(sum);
    const bool above =
        sum > 0 && std::numeric_limits<int64_t>::max() - static_cast<uint64_t>(sum) < count;
    if (below || above) return Fail(ERANGE, RangeMessage(id, count, sum));
  }
  for (const auto& [id, sum] : sums) {
    Line& line = lines_.at(id);
    line.after->refcount += static_cast<uint64_t>(sum);
    line.touched = true;
  }
  return Ok();
}

Result<std::vector<PackId>> CountLedger::Put(Batch& batch) const {
  SumChanges sums;
  bool changed = false;
  for (const auto& [id, line] : lines_) {
    if (!line.touched || line.before == line.after) continue;
    changed = true;
    if (line.before) sums.Remove(*line.before);
    sums.Add(*line.after);
    batch.Put(Family::kChunk, BigU64(id), EncodeChunkRow(*line.after));
    const bool was_condemned = line.before && line.before->condemned;
    if (line.after->condemned && !was_condemned) PutDamage(batch, id);
    if (was_condemned && !line.after->condemned) DeleteDamage(batch, id);
    if (!line.before) {
      batch.Put(Family::kFingerprint, line.after->fingerprint.text(), EncodeFingerprintEntry(id));
    }
  }
  if (!changed) return std::vector<PackId>{};
  return sums.Put(*kv_, batch);
}

std::vector<ChunkId> CountLedger::Healed() const {
  std::vector<ChunkId> healed;
  for (const auto& [id, line] : lines_) {
    if (line.touched && line.before && line.before->condemned && !line.after->condemned) {
      healed.push_back(id);
    }
  }
  return healed;
}

std::vector<ChunkId> CountLedger::RoseAbove(uint64_t count) const {
  std::vector<ChunkId> risen;
  for (const auto& [id, line] : lines_) {
    if (!line.touched || line.after->refcount <= count) continue;
    if (!line.before || line.before->refcount <= count) risen.push_back(id);
  }
  return risen;
}

std::vector<InFlight::EntryPtr> CountLedger::Written() const {
  std::vector<InFlight::EntryPtr> written;
  for (const auto& [id, line] : lines_) {
    if (line.touched && line.entry) written.push_back(line.entry);
  }
  return written;
}

}  // namespace dedupfs
