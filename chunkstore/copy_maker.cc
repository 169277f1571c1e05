#include "chunkstore/copy_maker.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/damage_list.h"

namespace dedupfs {
namespace {

constexpr uint64_t kSliceBytes = 8ull << 20;
constexpr size_t kRowsAtOnce = 4096;
constexpr size_t kChunkRowsOfASlice = size_t{1} << 19;
constexpr size_t kMostNoted = size_t{1} << 20;

bool SaysDamage(const Error& error) { return error.code == EIO || error.code == ENOENT; }

}  // namespace

void CopyMaker::NoteOftenUsed(std::span<const ChunkId> ids) {
  if (ids.empty()) return;
  MutexLock lock(mutex_);
  if (noted_.size() + ids.size() > kMostNoted) {
    noted_too_many_ = true;
    noted_.clear();
  } else {
    noted_.insert(ids.begin(), ids.end());
  }
}

void CopyMaker::TakeNoted(std::vector<ChunkId>& wanted) {
  MutexLock lock(mutex_);
  if (noted_too_many_) {
    noted_too_many_ = false;
    phase_ = Phase::kBegin;
  }
  const auto end =
      std::next(noted_.begin(), static_cast<ptrdiff_t>(std::min(noted_.size(), kRowsAtOnce)));
  wanted.assign(noted_.begin(), end);
  noted_.erase(noted_.begin(), end);
}

Result<bool> CopyMaker::Slice(CopyReport& report, const std::function<bool()>& cancelled) {
  const Reclaimer::Turn turn(parts_.reclaim);
  std::vector<ChunkId> wanted;
  switch (phase_) {
    case Phase::kBegin:
      DEDUPFS_RETURN_IF_ERROR(Begin());
      return true;
    case Phase::kCopies:
      DEDUPFS_RETURN_IF_ERROR(LookAtCopies(wanted));
      break;
    case Phase::kChunks:
      DEDUPFS_RETURN_IF_ERROR(LookAtChunks(wanted, cancelled));
      break;
    case Phase::kDone:
      TakeNoted(wanted);
      if (wanted.empty() && phase_ == Phase::kDone) {
        DEDUPFS_RETURN_IF_ERROR(RemoveUnnamed());
        return false;
      }
      break;
  }
  DEDUPFS_RETURN_IF_ERROR(Make(wanted, report, cancelled));
  return true;
}

Status CopyMaker::Begin() {
  DEDUPFS_RETURN_IF_ERROR(HealKnown());
  DEDUPFS_ASSIGN_OR_RETURN(const auto packs, LoadCopyPacks(parts_.kv));
  sparse_.clear();
  missing_.clear();
  for (const auto& [pack, sums] : packs) {
    if (sums.chunks == 0 || parts_.copies.IsOpen(pack)) continue;
    const auto size = parts_.copies.FileSize(pack);
    if (!size && !SaysDamage(size.error())) return Fail(size.error());
    const uint64_t used = sums.stored_bytes + sums.chunks * kRecordHeaderSize;
    if (!size) {
      missing_.insert(pack);
    } else if (used < *size / 5 * 3) {
      sparse_.insert(pack);
    }
  }
  last_ = 0;
  phase_ = Phase::kCopies;
  return Ok();
}

// Damage that is known, as after a repair, and of which there is a copy.
Status CopyMaker::HealKnown() {
  DEDUPFS_ASSIGN_OR_RETURN(const auto ids, ListDamage(parts_.kv, 0, kRowsAtOnce));
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!rows[i].row || !rows[i].row->condemned) continue;
    const auto rescued = parts_.rescue.Rescue(ids[i], *rows[i].row);
    if (!rescued && !SaysDamage(rescued.error())) return Fail(rescued.error());
  }
  return Ok();
}

Status CopyMaker::LookAtCopies(std::vector<ChunkId>& wanted) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(parts_.kv, last_, kRowsAtOnce));
  if (copies.empty()) {
    last_ = 0;
    phase_ = parts_.references > 0 ? Phase::kChunks : Phase::kDone;
    return Ok();
  }
  std::vector<ChunkId> present, lost;
  for (const auto& [id, at] : copies) {
    const bool gone = at.pack == 0 || missing_.count(at.pack) > 0;
    (gone ? lost : present).push_back(id);
    if (gone || sparse_.count(at.pack) > 0) wanted.push_back(id);
  }
  uint64_t dropped = 0;
  DEDUPFS_RETURN_IF_ERROR(Drop(present, true, dropped));
  DEDUPFS_RETURN_IF_ERROR(Drop(lost, false, dropped));
  last_ = copies.back().first;
  return Ok();
}

Status CopyMaker::LookAtChunks(std::vector<ChunkId>& wanted,
                               const std::function<bool()>& cancelled) {
  std::vector<ChunkId> often;
  uint64_t bytes = 0;
  size_t rows_read = 0;
  const auto rows = parts_.kv.Iterate(Family::kChunk, BigU64(last_ + 1), "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != sizeof(ChunkId)) continue;  // for check to tell
    if (rows_read > 0 && (rows_read >= kChunkRowsOfASlice || bytes >= kSliceBytes)) break;
    if (++rows_read % kRowsAtOnce == 0 && cancelled && cancelled()) break;
    last_ = ParseBigU64(rows->key());
    const auto row = ParseChunkRow(rows->value(), last_);
    if (!row || row->condemned || row->refcount <= parts_.references) continue;
    often.push_back(last_);
    bytes += row->raw;
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  if (!rows->Valid()) phase_ = Phase::kDone;
  DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, often));
  for (size_t i = 0; i < often.size(); ++i) {
    if (!copies[i]) wanted.push_back(often[i]);
  }
  return Ok();
}

Status CopyMaker::Make(std::span<const ChunkId> ids, CopyReport& report,
                       const std::function<bool()>& cancelled) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
  DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, ids));
  std::vector<ProvenRecord> records;
  uint64_t bytes = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!rows[i].row || rows[i].row->condemned) continue;
    const ChunkRow& row = *rows[i].row;
    const bool often = parts_.references > 0 && row.refcount > parts_.references;
    if (copies[i] ? sparse_.count(copies[i]->pack) == 0 : !often) continue;
    auto record = ReadProven(parts_.packs, ids[i], row, row.location);
    if (!record) {
      if (!SaysDamage(record.error())) return Fail(record.error());
      LogError("chunk_damaged", "chunk " + std::to_string(ids[i]) + ": " + record.error().message);
      parts_.condemn(ids[i], row.location);
      continue;
    }
    bytes += record->raw.size();
    record->raw = Buffer();
    records.push_back(std::move(*record));
    if (bytes < kSliceBytes) continue;
    DEDUPFS_RETURN_IF_ERROR(Append(records, report));
    records.clear();
    bytes = 0;
    if (!cancelled || !cancelled()) continue;
    NoteOftenUsed(ids.subspan(i + 1));
    break;
  }
  return Append(records, report);
}

Status CopyMaker::Append(std::span<const ProvenRecord> records, CopyReport& report) {
  if (records.empty()) return Ok();
  std::vector<RecordInput> inputs;
  std::vector<ChunkId> ids;
  uint64_t bytes = 0;
  for (const ProvenRecord& record : records) {
    inputs.push_back({record.header, record.stored});
    ids.push_back(record.header.id);
    bytes += record.record.size();
  }
  DEDUPFS_RETURN_IF_ERROR(parts_.space.Check(bytes));
  DEDUPFS_ASSIGN_OR_RETURN(const auto locations, parts_.copies.Append(inputs));
  DEDUPFS_RETURN_IF_ERROR(parts_.copies.Sync());
  const auto name = [&]() -> Result<Batch> {
    Batch batch;
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
    DEDUPFS_ASSIGN_OR_RETURN(const auto before, LoadCopies(parts_.kv, ids));
    CopyChanges changes;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (!rows[i].row || rows[i].row->refcount == 0) continue;
      changes.Put(ids[i], before[i], locations[i]);
      ++report.made_chunks;
      report.made_bytes += locations[i].stored;
    }
    DEDUPFS_RETURN_IF_ERROR(changes.AddTo(parts_.kv, batch));
    return batch;
  };
  return parts_.commits.Change(name, Durability::kBuffered);
}

Status CopyMaker::Drop(std::span<const ChunkId> ids, bool only_of_gone_chunks, uint64_t& dropped) {
  const auto forget = [&]() -> Result<Batch> {
    Batch batch;
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, ids));
    CopyChanges changes;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (only_of_gone_chunks && (rows[i].row || rows[i].damage)) continue;
      changes.Drop(ids[i], copies[i]);
      ++dropped;
    }
    if (!changes.empty()) DEDUPFS_RETURN_IF_ERROR(changes.AddTo(parts_.kv, batch));
    return batch;
  };
  return parts_.commits.Change(forget, Durability::kBuffered);
}

Result<uint64_t> CopyMaker::RemoveUnnamed() {
  DEDUPFS_ASSIGN_OR_RETURN(const auto files, parts_.copies.All());
  DEDUPFS_ASSIGN_OR_RETURN(const auto named, LoadCopyPacks(parts_.kv));
  std::vector<PackId> dead;
  for (const PackId pack : files) {
    const auto sums = named.find(pack);
    if (sums != named.end() && sums->second.chunks > 0) continue;
    if (!parts_.copies.IsOpen(pack)) dead.push_back(pack);
  }
  Batch rows;
  for (const auto& [pack, sums] : named) {
    if (sums.chunks > 0 || parts_.copies.IsOpen(pack)) continue;
    rows.Delete(Family::kMeta, CopyPackKey(pack));
  }
  if (dead.empty() && rows.empty()) return uint64_t{0};
  // Synced, and with it every row that went before: a crash brings no row back whose file is gone.
  DEDUPFS_RETURN_IF_ERROR(parts_.commits.Change([&]() -> Result<Batch> { return std::move(rows); },
                                                Durability::kSynced));
  uint64_t freed_bytes = 0;
  for (const PackId pack : dead) {
    const auto size = parts_.copies.FileSize(pack);
    DEDUPFS_RETURN_IF_ERROR(parts_.copies.Remove(pack));
    LogInfo("copy_pack_removed", "pack=" + std::to_string(pack));
    freed_bytes += size ? *size : 0;
  }
  return freed_bytes;
}

Result<uint64_t> CopyMaker::Reclaim() {
  const Reclaimer::Turn turn(parts_.reclaim);
  return RemoveUnnamed();
}

Result<CopyReport> CopyMaker::Everything(const std::function<bool()>& cancelled) {
  {
    const Reclaimer::Turn turn(parts_.reclaim);
    phase_ = Phase::kBegin;
  }
  CopyReport report;
  while (!cancelled || !cancelled()) {
    DEDUPFS_ASSIGN_OR_RETURN(const bool more, Slice(report, cancelled));
    if (!more) break;
  }
  return report;
}

Result<CopyReport> CopyMaker::DropAll(const std::function<bool()>& cancelled) {
  CopyReport report;
  while (!cancelled || !cancelled()) {
    const Reclaimer::Turn turn(parts_.reclaim);
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(parts_.kv, 0, kRowsAtOnce));
    std::vector<ChunkId> ids;
    ids.reserve(copies.size());
    for (const auto& [id, at] : copies) ids.push_back(id);
    if (ids.empty()) {
      DEDUPFS_RETURN_IF_ERROR(parts_.copies.SealOpen());
      DEDUPFS_ASSIGN_OR_RETURN(report.freed_bytes, RemoveUnnamed());
      break;
    }
    DEDUPFS_RETURN_IF_ERROR(Drop(ids, false, report.dropped_chunks));
  }
  return report;
}

}  // namespace dedupfs
