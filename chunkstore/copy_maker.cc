#include "chunkstore/copy_maker.h"

#include <algorithm>
#include <cerrno>
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
constexpr size_t kHealingsOfASlice = 64;
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
    StartPass();
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
    case Phase::kHeal: {
      DEDUPFS_ASSIGN_OR_RETURN(const bool more, HealSome(last_, cancelled));
      if (!more) phase_ = Phase::kPacks;
      return true;
    }
    case Phase::kPacks:
      DEDUPFS_RETURN_IF_ERROR(LookAtPacks());
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
  const Status made = Make(wanted, report, cancelled);
  if (made) return true;
  NoteOftenUsed(wanted);  // they were looked at: nothing else brings them back once there is room
  return Fail(made.error());
}

void CopyMaker::StartPass() {
  phase_ = Phase::kHeal;
  last_ = 0;
  rows_seen_.store(0);
}

// Each healing waits for a sync, so only so many.
Result<bool> CopyMaker::HealSome(ChunkId& last, const std::function<bool()>& cancelled) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto ids, ListDamage(parts_.kv, last, kRowsAtOnce));
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
  DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, ids));
  size_t healings = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (copies[i] && rows[i].row && rows[i].row->condemned) {
      if (healings >= kHealingsOfASlice || bytes >= kSliceBytes) return true;
      if (cancelled && cancelled()) return true;
      const auto rescued = parts_.rescue.Rescue(ids[i], *rows[i].row);
      if (!rescued && !SaysDamage(rescued.error())) return Fail(rescued.error());
      ++healings;
      bytes += rows[i].row->raw;
    }
    last = ids[i];
  }
  return ids.size() == kRowsAtOnce;
}

// A disk that gives errors, or a directory that is not mounted now, may have the pack again later.
Result<bool> CopyMaker::IsMissing(PackId pack) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto files, parts_.copies.All());
  return !std::binary_search(files.begin(), files.end(), pack);
}

Status CopyMaker::LookAtPacks() {
  DEDUPFS_ASSIGN_OR_RETURN(const auto packs, LoadCopyPacks(parts_.kv));
  sparse_.clear();
  missing_.clear();
  for (const auto& [pack, sums] : packs) {
    if (sums.chunks == 0 || parts_.copies.IsOpen(pack)) continue;
    const auto size = parts_.copies.FileSize(pack);
    if (!size && size.error().code != ENOENT) return Fail(size.error());
    if (!size) {
      DEDUPFS_ASSIGN_OR_RETURN(const bool missing, IsMissing(pack));
      if (missing) missing_.insert(pack);
      continue;
    }
    const uint64_t used = sums.stored_bytes + sums.chunks * kRecordHeaderSize;
    if (used < *size / 5 * 3) sparse_.insert(pack);
  }
  last_ = 0;
  phase_ = Phase::kCopies;
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
  CopyReport dropped;
  DEDUPFS_RETURN_IF_ERROR(Drop(present, Dropping::kOfGoneChunks, dropped));
  DEDUPFS_RETURN_IF_ERROR(Drop(lost, Dropping::kUnlessNeeded, dropped));
  last_ = copies.back().first;
  return Ok();
}

Status CopyMaker::LookAtChunks(std::vector<ChunkId>& wanted,
                               const std::function<bool()>& cancelled) {
  std::vector<ChunkId> often;
  uint64_t bytes = 0;
  size_t rows_read = 0;
  ChunkId last = last_;
  const auto rows = parts_.kv.Iterate(Family::kChunk, BigU64(last_ + 1), "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != sizeof(ChunkId)) continue;  // for check to tell
    if (rows_read > 0 && (rows_read >= kChunkRowsOfASlice || bytes >= kSliceBytes)) break;
    if (++rows_read % kRowsAtOnce == 0 && cancelled && cancelled()) break;
    last = ParseBigU64(rows->key());
    const auto row = ParseChunkRow(rows->value(), last);
    if (!row || row->condemned || row->refcount <= parts_.references) continue;
    often.push_back(last);
    bytes += row->raw;
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, often));
  last_ = last;
  rows_seen_.fetch_add(rows_read);
  if (!rows->Valid()) phase_ = Phase::kDone;
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

Result<CopyReport> CopyMaker::Everything(const std::function<bool()>& cancelled,
                                         const CopyProgress& progress) {
  {
    const Reclaimer::Turn turn(parts_.reclaim);
    StartPass();
  }
  CopyReport report;
  while (!cancelled || !cancelled()) {
    DEDUPFS_ASSIGN_OR_RETURN(const bool more, Slice(report, cancelled));
    if (!more) break;
    progress.Tell(rows_seen_.load());
  }
  return report;
}

}  // namespace dedupfs
