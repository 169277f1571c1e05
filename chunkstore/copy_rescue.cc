#include "chunkstore/copy_rescue.h"

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/count_ledger.h"
#include "chunkstore/damage_list.h"
#include "chunkstore/ingest_guards.h"

namespace dedupfs {
namespace {

std::string Where(ChunkId id, const Location& at) {
  return "chunk=" + std::to_string(id) + " pack=" + std::to_string(at.pack) +
         " offset=" + std::to_string(at.offset);
}

bool SaysDamage(const Error& error) { return error.code == EIO || error.code == ENOENT; }

}  // namespace

Result<ProvenRecord> ReadProven(Packs& packs, ChunkId id, const ChunkRow& row, const Location& at) {
  ProvenRecord proven;
  DEDUPFS_ASSIGN_OR_RETURN(const Packs::Record record, packs.Read(at, id, proven.record));
  if (record.header.raw != row.raw || !(record.header.fingerprint == row.fingerprint)) {
    return Corrupt("the record of chunk " + std::to_string(id) + " is of another content");
  }
  proven.header = record.header;
  proven.stored = record.stored;
  proven.raw.resize(row.raw);
  DEDUPFS_RETURN_IF_ERROR(Decompress(record.header.codec, record.stored, proven.raw));
  if (!(FingerprintOf(proven.raw) == row.fingerprint)) {
    return Corrupt("the content does not have the SHA-256 of the chunk");
  }
  return proven;
}

Result<CopyRescue::Rescued> CopyRescue::Rescue(ChunkId id, const ChunkRow& row) {
  DEDUPFS_ASSIGN_OR_RETURN(ProvenRecord copy, FindCopy(id, row));
  Rescued rescued;
  if (!parts_.read_only) {
    const auto healed = Heal(id, row, copy);
    if (!healed) LogWarn("heal_failed", Where(id, row.location) + " " + healed.error().message);
    rescued.healed = healed && *healed;
  }
  rescued.raw = std::move(copy.raw);
  return rescued;
}

Result<ProvenRecord> CopyRescue::FindCopy(ChunkId id, const ChunkRow& row) {
  std::optional<Location> damaged_at;
  while (parts_.copies != nullptr) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, {&id, 1}));
    const std::optional<Location>& at = copies[0];
    // Where it was a moment ago, it may only have been moved to another pack of copies.
    if (!at || at == damaged_at) break;
    auto copy = ReadProven(*parts_.copies, id, row, *at);
    if (copy) {
      LogInfo("chunk_read_from_copy", Where(id, *at));
      return copy;
    }
    if (!SaysDamage(copy.error())) return copy;
    LogError("copy_damaged", Where(id, *at) + " " + copy.error().message);
    damaged_at = at;
  }
  // It keeps its row: a disk that gives errors now may give the bytes again.
  return Fail(ENOENT, "there is no whole copy of chunk " + std::to_string(id));
}

Status CopyRescue::DropCopy(ChunkId id, const Location& at) {
  return parts_.commits.Change(
      [&]() -> Result<Batch> {
        Batch batch;
        DEDUPFS_ASSIGN_OR_RETURN(const auto copies, LoadCopies(parts_.kv, {&id, 1}));
        if (!(copies[0] == at)) return batch;
        DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&id, 1}));
        // Of a chunk that is damaged itself it may be all that will be readable again.
        if (rows[0].damage || (rows[0].row && rows[0].row->condemned)) return batch;
        CopyChanges changes;
        changes.Drop(id, at);
        DEDUPFS_RETURN_IF_ERROR(changes.AddTo(parts_.kv, batch));
        return batch;
      },
      Durability::kBuffered);
}

// False where the chunk has gone meanwhile.
Result<bool> CopyRescue::Heal(ChunkId id, const ChunkRow& row, const ProvenRecord& copy) {
  DEDUPFS_RETURN_IF_ERROR(parts_.failure.Check());
  DEDUPFS_RETURN_IF_ERROR(parts_.reachable());
  DEDUPFS_RETURN_IF_ERROR(parts_.space.Check(copy.record.size()));
  // Until the row is written: nobody takes the pack for one that nothing names.
  const AppendGuard append(parts_.in_flight);
  const RecordInput input{copy.header, copy.stored};
  const auto locations = parts_.packs.Append({&input, 1});
  if (!locations) {
    parts_.failure.SetUnlessFull(locations.error());
    return Fail(locations.error());
  }
  const Status synced = parts_.packs.Sync();
  if (!synced) {
    parts_.failure.Set(synced.error());
    return Fail(synced.error());
  }
  bool healed = false;
  std::vector<PackId> died;
  const auto switch_place = [&]() -> Result<Batch> {
    Batch batch;
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&id, 1}));
    if (!rows[0].row || !(rows[0].row->location == row.location)) return batch;
    SumChanges sums;
    ChunkRow now = *rows[0].row;
    sums.Remove(now);
    now.location = (*locations)[0];
    now.codec = copy.header.codec;
    now.condemned = false;
    sums.Add(now);
    batch.Put(Family::kChunk, BigU64(id), EncodeChunkRow(now));
    DeleteDamage(batch, id);
    DEDUPFS_ASSIGN_OR_RETURN(died, sums.Put(parts_.kv, batch));
    healed = true;
    return batch;
  };
  DEDUPFS_RETURN_IF_ERROR(parts_.commits.Change(switch_place, Durability::kBuffered));
  if (!healed) return false;
  parts_.commits.NoteHealed({&id, 1});
  for (const PackId pack : died) parts_.pack_died(pack);
  return true;
}

}  // namespace dedupfs
