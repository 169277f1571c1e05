// Two ids of one content become one, and the rows that were decided on are written.
#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/index_repair.h"

namespace dedupfs {
namespace {

std::string ChunkText(ChunkId id) { return "chunk " + std::to_string(id); }

}  // namespace

// Higher is better: its record can be read, only its extra copy can, it is lost.
int IndexRepair::Standing(ChunkId id, const ChunkRow& row) const {
  if (!row.condemned) return 2;
  return std::binary_search(only_copied_.begin(), only_copied_.end(), id) ? 1 : 0;
}

// Two ids of one content: one goes, and recipes are to name the other. The one that stays is the
// one that can be read, else the one with an extra copy, else the one with references, else the
// earlier.
Status IndexRepair::Merge(Final& later, Final* earlier, ChunkId earlier_id) {
  std::optional<ChunkRow> row;
  if (earlier != nullptr) {
    row = earlier->row;
  } else {
    DEDUPFS_ASSIGN_OR_RETURN(const auto loaded, LoadChunkRows(parts_.kv, {&earlier_id, 1}));
    row = loaded[0].row;
  }
  if (!row) return Ok();
  const int standing = Standing(earlier_id, *row);
  const int standing_later = Standing(later.id, *later.row);
  const bool later_stays = standing != standing_later
                               ? standing < standing_later
                               : row->refcount == 0 && later.row->refcount > 0;
  std::optional<ChunkRow>& stays = later_stays ? later.row : row;
  std::optional<ChunkRow>& goes = later_stays ? row : later.row;
  const ChunkId gone = later_stays ? earlier_id : later.id;
  const ChunkId kept = later_stays ? later.id : earlier_id;
  if (goes->refcount > 0) {
    parts_.report("chunks of the same content", ChunkText(gone) + " becomes " + ChunkText(kept));
    replaced_[gone] = kept;
    stays->refcount += goes->refcount;
    for (std::vector<ChunkId>* ids : {&lost_, &only_copied_}) {
      const auto found = std::lower_bound(ids->begin(), ids->end(), gone);
      if (found != ids->end() && *found == gone) ids->erase(found);
    }
  }
  goes.reset();
  if (earlier != nullptr) {
    earlier->row = row;
    return Ok();
  }
  Batch batch;  // written at once: the next of the same content is to find it
  if (row) {
    batch.Put(Family::kChunk, BigU64(earlier_id), EncodeChunkRow(*row));
  } else {
    batch.Delete(Family::kChunk, BigU64(earlier_id));
  }
  return parts_.kv.Write(batch, Durability::kBuffered);
}

Status IndexRepair::Settle() {
  std::vector<Fingerprint> fingerprints;
  std::vector<size_t> places;
  for (size_t i = 0; i < finals_.size(); ++i) {
    if (!finals_[i].row) continue;
    fingerprints.push_back(finals_[i].row->fingerprint);
    places.push_back(i);
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto known, LoadFingerprints(parts_.scratch, fingerprints));
  std::unordered_map<Fingerprint, size_t, FingerprintHash> here;
  Batch entries, batch;
  for (size_t k = 0; k < places.size(); ++k) {
    Final& final = finals_[places[k]];
    const Fingerprint fingerprint = final.row->fingerprint;
    if (const auto same = here.find(fingerprint); same != here.end()) {
      Final& earlier = finals_[same->second];
      DEDUPFS_RETURN_IF_ERROR(Merge(final, &earlier, earlier.id));
    } else if (known[k].row) {
      DEDUPFS_RETURN_IF_ERROR(Merge(final, nullptr, *known[k].row));
    }
    if (!final.row) continue;
    here[fingerprint] = places[k];
    entries.Put(Family::kFingerprint, fingerprint.text(), EncodeFingerprintEntry(final.id));
  }
  for (const Final& final : finals_) {
    const std::string key = BigU64(final.id);
    if (!final.row) {
      if (final.before) batch.Delete(Family::kChunk, key);
    } else if (std::string value = EncodeChunkRow(*final.row); value != final.before) {
      batch.Put(Family::kChunk, key, value);
    }
  }
  finals_.clear();
  DEDUPFS_RETURN_IF_ERROR(parts_.scratch.Write(entries, Durability::kBuffered));
  return parts_.kv.Write(batch, Durability::kBuffered);
}

}  // namespace dedupfs
