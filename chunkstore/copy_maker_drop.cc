// Copies that are forgotten, and packs of copies that are removed.
#include <string>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_maker.h"
#include "chunkstore/copy_rows.h"

namespace dedupfs {
namespace {

constexpr size_t kRowsAtOnce = 4096;

}  // namespace

Status CopyMaker::Drop(std::span<const ChunkId> ids, Dropping which, CopyReport& report) {
  const auto forget = [&]() -> Result<Batch> {
    Batch batch;
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, ids));
    CopyChanges changes;
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool there = rows[i].row || rows[i].damage;
      if (which == Dropping::kOfGoneChunks && there) continue;
      // Of such a chunk it may be the only whole record, now or once its disk can be read again.
      if (copies[i] && there && !(rows[i].row && !rows[i].row->condemned)) {
        ++report.kept_chunks;
        continue;
      }
      changes.Drop(ids[i], copies[i]);
      ++report.dropped_chunks;
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

// One walk over all of them.
Status CopyMaker::DropEach(CopyReport& report, const std::function<bool()>& cancelled,
                           const CopyProgress& progress) {
  report.kept_chunks = 0;
  uint64_t seen = 0;
  ChunkId last = 0;
  while (!cancelled || !cancelled()) {
    const Reclaimer::Turn turn(parts_.reclaim);
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(parts_.kv, last, kRowsAtOnce));
    if (copies.empty()) {
      DEDUPFS_RETURN_IF_ERROR(parts_.copies.SealOpen());
      DEDUPFS_ASSIGN_OR_RETURN(const uint64_t freed_bytes, RemoveUnnamed());
      report.freed_bytes += freed_bytes;
      break;
    }
    std::vector<ChunkId> ids;
    ids.reserve(copies.size());
    for (const auto& [id, at] : copies) ids.push_back(id);
    DEDUPFS_RETURN_IF_ERROR(Drop(ids, Dropping::kUnlessNeeded, report));
    last = ids.back();
    progress.Tell(seen += ids.size());
  }
  return Ok();
}

Result<CopyReport> CopyMaker::DropAll(const std::function<bool()>& cancelled,
                                      const CopyProgress& progress) {
  CopyReport report;
  DEDUPFS_RETURN_IF_ERROR(DropEach(report, cancelled, progress));
  if (report.kept_chunks == 0) return report;
  // Now that there is room, chunks whose copies were kept get whole records of their own.
  ChunkId last = 0;
  bool more = true;
  while (more && !(cancelled && cancelled())) {
    const Reclaimer::Turn turn(parts_.reclaim);
    DEDUPFS_ASSIGN_OR_RETURN(more, HealSome(last, cancelled));
  }
  DEDUPFS_RETURN_IF_ERROR(DropEach(report, cancelled, progress));
  return report;
}

}  // namespace dedupfs
