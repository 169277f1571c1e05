// What is derived from the chunk rows: fingerprint entries, pack rows, totals.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/damage_list.h"
#include "chunkstore/index_repair.h"

namespace dedupfs {
namespace {

constexpr size_t kBatchChanges = 8192;

Status FlushIfFull(Kv& kv, Batch& batch, bool end) {
  if (batch.empty() || (!end && batch.count() < kBatchChanges)) return Ok();
  DEDUPFS_RETURN_IF_ERROR(kv.Write(batch, Durability::kBuffered));
  batch = Batch();
  return Ok();
}

}  // namespace

Status IndexRepair::MendFingerprints() {
  const auto rows = parts_.kv.Iterate(Family::kFingerprint, "", "");
  const auto wanted = parts_.scratch.Iterate(Family::kFingerprint, "", "");
  Batch batch;
  while (rows->Valid() || wanted->Valid()) {
    const bool extra = rows->Valid() && (!wanted->Valid() || rows->key() < wanted->key());
    const bool missing = wanted->Valid() && (!rows->Valid() || wanted->key() < rows->key());
    if (extra) {
      parts_.report("fingerprint entries that name no chunk", "");
      batch.Delete(Family::kFingerprint, rows->key());
    } else if (missing || rows->value() != wanted->value()) {
      parts_.report("fingerprint entries", "");
      batch.Put(Family::kFingerprint, wanted->key(), wanted->value());
    }
    if (!missing) rows->Next();
    if (!extra) wanted->Next();
    DEDUPFS_RETURN_IF_ERROR(FlushIfFull(parts_.kv, batch, false));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  DEDUPFS_RETURN_IF_ERROR(wanted->status());
  return FlushIfFull(parts_.kv, batch, true);
}

// Sums over all chunk rows.
Result<TotalsRow> IndexRepair::SumUp(std::map<PackId, PackRow>& packs,
                                     std::vector<ChunkId>& condemned) {
  TotalsRow totals;
  const auto chunks = parts_.kv.Iterate(Family::kChunk, "", "");
  for (; chunks->Valid(); chunks->Next()) {
    const ChunkId id = ParseBigU64(chunks->key());
    DEDUPFS_ASSIGN_OR_RETURN(const ChunkRow row, ParseChunkRow(chunks->value(), id));
    if (row.condemned) condemned.push_back(id);
    PackRow& pack = packs[row.location.pack];
    ++pack.total_chunks;
    pack.total_stored += row.location.stored;
    if (row.refcount == 0) {
      ++totals.dead_chunks;
      totals.dead_stored_bytes += row.location.stored;
      continue;
    }
    ++pack.live_chunks;
    pack.live_bytes += row.location.stored;
    if (row.codec == Codec::kLz4) pack.live_lz4_bytes += row.location.stored;
    ++totals.chunks;
    totals.stored_bytes += row.location.stored;
    totals.unique_bytes += row.raw;
    totals.logical_bytes += row.raw * row.refcount;
  }
  DEDUPFS_RETURN_IF_ERROR(chunks->status());
  totals.packs = packs.size();
  return totals;
}

// It is to name the rows that are condemned (ascending), and no other.
Status IndexRepair::MendDamageList(const std::vector<ChunkId>& condemned) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<ChunkId> listed, ListDamage(parts_.kv, 0, SIZE_MAX));
  Batch batch;
  auto wanted = condemned.begin();
  auto there = listed.begin();
  while (wanted != condemned.end() || there != listed.end()) {
    const bool extra = wanted == condemned.end() || (there != listed.end() && *there < *wanted);
    if (!extra && there != listed.end() && *there == *wanted) {
      ++wanted;
      ++there;
      continue;
    }
    const ChunkId id = extra ? *there++ : *wanted++;
    parts_.report("entries of the list of condemned chunks", "chunk " + std::to_string(id));
    if (extra) {
      DeleteDamage(batch, id);
    } else {
      PutDamage(batch, id);
    }
    DEDUPFS_RETURN_IF_ERROR(FlushIfFull(parts_.kv, batch, false));
  }
  return FlushIfFull(parts_.kv, batch, true);
}

Status IndexRepair::MendSums() {
  std::map<PackId, PackRow> packs;
  std::vector<ChunkId> condemned;
  DEDUPFS_ASSIGN_OR_RETURN(TotalsRow totals, SumUp(packs, condemned));
  DEDUPFS_RETURN_IF_ERROR(MendDamageList(condemned));
  Batch batch;
  auto wanted = packs.begin();
  const auto rows = parts_.kv.Iterate(Family::kPack, "", "");
  const auto put_up_to = [&](PackId end) {
    for (; wanted != packs.end() && wanted->first < end; ++wanted) {
      parts_.report("pack rows", "pack " + std::to_string(wanted->first));
      batch.Put(Family::kPack, BigU64(wanted->first), EncodePackRow(wanted->second));
    }
  };
  for (; rows->Valid(); rows->Next()) {
    const bool right_key = rows->key().size() == sizeof(PackId);
    const PackId pack = right_key ? ParseBigU64(rows->key()) : 0;
    if (right_key) put_up_to(pack);
    if (wanted != packs.end() && right_key && wanted->first == pack) {
      if (rows->value() == EncodePackRow(wanted->second)) {
        ++wanted;
      } else {
        put_up_to(pack + 1);
      }
    } else if (const auto row = ParsePackRow(rows->value(), pack);
               !right_key || !row || row->total_chunks != 0) {
      parts_.report("rows of packs that hold no chunk", "pack " + std::to_string(pack));
      batch.Delete(Family::kPack, rows->key());
    } else {
      ++totals.packs;  // of a pack that lost its last chunk, and that a reclaim is to remove
    }
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  put_up_to(UINT64_MAX);
  const auto before = LoadTotals(parts_.kv);
  if (!before || !(*before == totals)) {
    parts_.report("totals", "");
    batch.Put(Family::kMeta, kTotalsKey, EncodeTotalsRow(totals));
  }
  return FlushIfFull(parts_.kv, batch, true);
}

}  // namespace dedupfs
