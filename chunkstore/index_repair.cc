#include "chunkstore/index_repair.h"

#include <algorithm>
#include <cerrno>
#include <span>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_reader.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/packs/pack_reader.h"

namespace dedupfs {
namespace {

constexpr uint64_t kBatchBytes = 32 << 20;
constexpr size_t kBatchRows = 4096;

std::string ChunkText(ChunkId id) { return "chunk " + std::to_string(id); }

std::string Numbers(uint64_t before, uint64_t now) {
  return std::to_string(before) + " becomes " + std::to_string(now);
}

// A key of 8 bytes, or none at the end. Rows with keys of another length are deleted.
Result<std::optional<uint64_t>> NumberAt(KvIterator& rows, Family family, Kv& kv) {
  for (; rows.Valid(); rows.Next()) {
    if (rows.key().size() == sizeof(uint64_t)) {
      return std::optional<uint64_t>(ParseBigU64(rows.key()));
    }
    Batch batch;
    batch.Delete(family, rows.key());
    DEDUPFS_RETURN_IF_ERROR(kv.Write(batch, Durability::kBuffered));
  }
  DEDUPFS_RETURN_IF_ERROR(rows.status());
  return std::optional<uint64_t>();
}

}  // namespace

Status IndexRepair::ScanPacks() {
  DEDUPFS_ASSIGN_OR_RETURN(packs_,
                           Packs::Open(parts_.env, parts_.pack_directory, []() -> Result<PackId> {
                             return Fail(EROFS, "a repair appends nothing");
                           }));
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<PackId> all, packs_->All());
  std::vector<uint64_t> sizes;
  sizes.reserve(all.size());
  for (const PackId pack : all) {
    const auto size = packs_->FileSize(pack);
    sizes.push_back(size ? *size : 0);
    bytes_total_ += sizes.back();
  }
  for (size_t i = 0; i < all.size(); ++i) {
    DEDUPFS_RETURN_IF_ERROR(ScanPack(all[i], sizes[i]));
    last_pack_ = std::max(last_pack_, all[i]);
  }
  return Ok();
}

Status IndexRepair::ScanPack(PackId pack, uint64_t size) {
  right_records_ = 0;
  damaged_ = false;
  const std::string path = parts_.pack_directory + "/" + PackFileName(pack);
  auto file = parts_.env.OpenForRead(path);
  if (!file) {
    parts_.report("packs that cannot be opened", file.error().message);
    unreadable_packs_.push_back(pack);
    return Ok();
  }
  Status failed;
  PackReader::Visitor visitor;
  visitor.record = [&](const PackEntry& entry, Bytes stored) {
    const RecordHeader& header = entry.header;
    Candidate candidate;
    candidate.id = header.id;
    candidate.row.location = {pack, entry.offset, header.stored};
    candidate.row.raw = header.raw;
    candidate.row.codec = header.codec;
    candidate.row.fingerprint = header.fingerprint;
    candidate.stored.assign(stored.begin(), stored.end());
    candidate_bytes_ += stored.size();
    candidates_.push_back(std::move(candidate));
    if (candidate_bytes_ < kBatchBytes && candidates_.size() < kBatchRows) return true;
    failed = TakeCandidates();
    return failed.has_value();
  };
  visitor.damage = [&](const PackReader::Damage&) { damaged_ = true; };
  PackReader reader(**file, pack, size);
  const auto walked = reader.Walk(PackReader::AfterDamage::kFollowToc, visitor);
  DEDUPFS_RETURN_IF_ERROR(failed);
  DEDUPFS_RETURN_IF_ERROR(TakeCandidates());
  if (!walked) {  // a read error of the disk: what was read counts
    parts_.report("packs that cannot be read to their end",
                  PackFileName(pack) + ": " + walked.error().message);
    damaged_ = true;
  }
  if (damaged_ && right_records_ == 0 && size > kPackHeaderSize) unreadable_packs_.push_back(pack);
  bytes_done_ += size;
  if (parts_.progress) parts_.progress(bytes_done_, bytes_total_);
  return Ok();
}

// Of two records of one chunk the one that the old row names counts, else the later one.
Status IndexRepair::TakeCandidates() {
  parts_.pool.ParallelFor(candidates_.size(), [this](size_t i) {
    thread_local Buffer raw;
    Candidate& candidate = candidates_[i];
    raw.resize(candidate.row.raw);
    candidate.right = Decompress(candidate.row.codec, candidate.stored, raw).has_value() &&
                      FingerprintOf(raw) == candidate.row.fingerprint && candidate.id != 0;
    candidate.stored = Buffer();
  });
  std::vector<ChunkId> ids;
  ids.reserve(candidates_.size());
  for (const Candidate& candidate : candidates_) ids.push_back(candidate.id);
  DEDUPFS_ASSIGN_OR_RETURN(const auto named, LoadChunkRows(parts_.kv, ids));
  DEDUPFS_ASSIGN_OR_RETURN(const auto earlier, LoadChunkRows(parts_.scratch, ids));
  std::unordered_map<ChunkId, Location> taken;  // in this batch
  Batch batch;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const Candidate& candidate = candidates_[i];
    if (!candidate.right) {
      damaged_ = true;
      continue;
    }
    ++right_records_;
    last_chunk_ = std::max(last_chunk_, candidate.id);
    std::optional<Location> before;
    if (const auto found = taken.find(candidate.id); found != taken.end()) {
      before = found->second;
    } else if (earlier[i].row) {
      before = earlier[i].row->location;
    }
    if (before && named[i].row && *before == named[i].row->location) continue;
    taken[candidate.id] = candidate.row.location;
    batch.Put(Family::kChunk, BigU64(candidate.id), EncodeChunkRow(candidate.row));
  }
  candidates_.clear();
  candidate_bytes_ = 0;
  return parts_.scratch.Write(batch, Durability::kBuffered);
}

bool IndexRepair::IsReadable(ChunkId id, const ChunkRow& row) {
  Buffer raw;
  return ReadRecord(*packs_, id, row, raw).has_value() && FingerprintOf(raw) == row.fingerprint;
}

// Its fingerprint is one that no content has, and its pack one that is never made.
ChunkRow IndexRepair::LostRow(ChunkId id, uint64_t count) {
  ChunkRow row;
  const auto raw = lost_raw_->find(id);
  row.raw = raw == lost_raw_->end() ? 1 : raw->second;
  row.location = {lost_pack_, kPackHeaderSize, 1};
  row.condemned = true;
  row.refcount = count;
  const std::string text = "lost chunk " + std::to_string(id);
  row.fingerprint = FingerprintOf(AsBytes(text));
  // The digest of a known text could be stored on purpose; the complement of a digest cannot.
  for (uint8_t& byte : row.fingerprint.bytes) byte = static_cast<uint8_t>(~byte);
  lost_pack_used_ = true;
  return row;
}

Result<IndexRepair::Final> IndexRepair::Decide(ChunkId id, const std::optional<std::string>& before,
                                               const std::optional<std::string>& found,
                                               uint64_t count) {
  Final final{id, std::nullopt, before};
  std::optional<ChunkRow> old;
  if (before) {
    const auto parsed = ParseChunkRow(*before, id);
    if (parsed) old = *parsed;
  }
  if (found) {
    DEDUPFS_ASSIGN_OR_RETURN(final.row, ParseChunkRow(*found, id));
    if (count == 0 && !old) final.row.reset();  // never committed
  } else if (old && IsReadable(id, *old)) {
    final.row = old;
    final.row->condemned = false;
  } else if (count > 0) {
    DEDUPFS_ASSIGN_OR_RETURN(final.row, RowByCopy(id, old));
    if (!final.row) {
      final.row = old ? *old : LostRow(id, count);
      lost_.push_back(id);
    }
    final.row->condemned = true;
  }
  if (final.row) final.row->refcount = count;
  if (before && !old) {
    parts_.report("chunk rows that cannot be read", ChunkText(id));
  } else if (!old && final.row) {
    const bool copied = !only_copied_.empty() && only_copied_.back() == id;
    parts_.report(found    ? "chunk rows made from packs"
                  : copied ? "chunk rows made from extra copies"
                           : "chunks that are lost",
                  ChunkText(id));
  } else if (old && !final.row) {
    parts_.report("rows of dead chunks whose records are damaged", ChunkText(id));
  } else if (old && old->refcount != count) {
    parts_.report("reference counts", ChunkText(id) + ": " + Numbers(old->refcount, count));
  } else if (old && !(old->location == final.row->location)) {
    parts_.report("places of chunks", ChunkText(id));
  } else if (old && old->condemned != final.row->condemned) {
    parts_.report(final.row->condemned ? "damaged chunks that are condemned"
                                       : "condemned chunks that are whole",
                  ChunkText(id));
  } else if (old && !(*old == *final.row)) {
    parts_.report("chunk rows that the record contradicts", ChunkText(id));
  }
  return final;
}

Status IndexRepair::MendChunks(const NextCount& next_count, PackId lost_pack,
                               const std::map<ChunkId, uint32_t>& lost_raw) {
  lost_pack_ = lost_pack;
  lost_raw_ = &lost_raw;
  const auto rows = parts_.kv.Iterate(Family::kChunk, "", "");
  const auto found = parts_.scratch.Iterate(Family::kChunk, "", "");
  DEDUPFS_ASSIGN_OR_RETURN(auto count, next_count());
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto row_id, NumberAt(*rows, Family::kChunk, parts_.kv));
    DEDUPFS_ASSIGN_OR_RETURN(const auto found_id, NumberAt(*found, Family::kChunk, parts_.scratch));
    if (!row_id && !found_id && !count) break;
    const ChunkId id = std::min({row_id.value_or(UINT64_MAX), found_id.value_or(UINT64_MAX),
                                 count ? count->first : UINT64_MAX});
    std::optional<std::string> before, candidate;
    uint64_t references = 0;
    if (row_id == id) {
      before = std::string(rows->value());
      rows->Next();
    }
    if (found_id == id) {
      candidate = std::string(found->value());
      found->Next();
    }
    if (count && count->first == id) {
      references = count->second;
      DEDUPFS_ASSIGN_OR_RETURN(count, next_count());
    }
    DEDUPFS_ASSIGN_OR_RETURN(Final final, Decide(id, before, candidate, references));
    if (final.row || final.before) finals_.push_back(std::move(final));
    if (finals_.size() >= kBatchRows) DEDUPFS_RETURN_IF_ERROR(Settle());
  }
  return Settle();
}

}  // namespace dedupfs
