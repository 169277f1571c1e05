#include "chunkstore/store_check.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_reader.h"
#include "chunkstore/chunk_table.h"

namespace dedupfs {
namespace {

constexpr size_t kBatchRows = 4096;
constexpr uint64_t kBatchBytes = kPackTargetBytes;

struct Line {
  ChunkId id = 0;
  ChunkRow row;
  std::string problem;
};

std::string Numbers(const std::string& what, uint64_t stored, uint64_t real) {
  return what + " is " + std::to_string(stored) + ", but should be " + std::to_string(real);
}

class Checker {
 public:
  Checker(const CheckParts& parts, const ChunkStore::CheckHooks& hooks)
      : parts_(parts), hooks_(hooks) {}

  Status Run();

 private:
  void Report(ChunkId id, const std::string& problem) {
    if (hooks_.report) hooks_.report(id, problem);
  }
  Status ChunkRows();
  Status Flush();
  Status CompareCount(ChunkId id, uint64_t refcount);
  Status NextCount();
  Status CompareFingerprints();
  void VerifyRecord(Line& line) const;
  void AddUp(const ChunkRow& row);
  Status StrayFingerprints();
  Status PackRows();
  Status Totals();

  const CheckParts& parts_;
  const ChunkStore::CheckHooks& hooks_;
  ChunkStore::CheckProgress progress_;
  std::vector<Line> batch_;
  uint64_t batch_bytes_ = 0;
  uint64_t agreeing_fingerprints_ = 0;
  std::optional<std::pair<ChunkId, uint64_t>> count_;  // the next one of the caller's
  std::map<PackId, PackRow> packs_;                    // recomputed
  TotalsRow totals_;                                   // recomputed
};

Status Checker::Run() {
  const auto totals = LoadTotals(parts_.kv);
  if (totals) progress_.bytes_total = totals->stored_bytes + totals->dead_stored_bytes;
  DEDUPFS_RETURN_IF_ERROR(NextCount());
  DEDUPFS_RETURN_IF_ERROR(ChunkRows());
  DEDUPFS_RETURN_IF_ERROR(StrayFingerprints());
  DEDUPFS_RETURN_IF_ERROR(PackRows());
  DEDUPFS_RETURN_IF_ERROR(Totals());
  return CheckCopies(parts_,
                     [this](ChunkId id, const std::string& problem) { Report(id, problem); });
}

Status Checker::ChunkRows() {
  const auto rows = parts_.kv.Iterate(Family::kChunk, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != sizeof(ChunkId)) {
      Report(0, "a chunk row has a key of " + std::to_string(rows->key().size()) + " bytes");
      continue;
    }
    const ChunkId id = ParseBigU64(rows->key());
    const auto row = ParseChunkRow(rows->value(), id);
    if (!row) {
      Report(id, row.error().message);
      continue;
    }
    DEDUPFS_RETURN_IF_ERROR(CompareCount(id, row->refcount));
    AddUp(*row);
    batch_.push_back({id, *row, {}});
    batch_bytes_ += row->location.stored;
    if (batch_.size() >= kBatchRows || batch_bytes_ >= kBatchBytes) {
      DEDUPFS_RETURN_IF_ERROR(Flush());
    }
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  DEDUPFS_RETURN_IF_ERROR(Flush());
  while (count_) {
    Report(count_->first, "recipes name the chunk, but it has no row");
    DEDUPFS_RETURN_IF_ERROR(NextCount());
  }
  return Ok();
}

Status Checker::Flush() {
  DEDUPFS_RETURN_IF_ERROR(CompareFingerprints());
  std::vector<size_t> order(batch_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [this](size_t a, size_t b) {
    const Location& x = batch_[a].row.location;
    const Location& y = batch_[b].row.location;
    return std::pair(x.pack, x.offset) < std::pair(y.pack, y.offset);
  });
  parts_.pool.ParallelFor(order.size(), [&](size_t i) { VerifyRecord(batch_[order[i]]); });
  for (const Line& line : batch_) {
    if (!line.problem.empty()) Report(line.id, line.problem);
  }
  progress_.bytes_done += batch_bytes_;
  if (hooks_.progress) hooks_.progress(progress_);
  batch_.clear();
  batch_bytes_ = 0;
  return Ok();
}

Status Checker::CompareCount(ChunkId id, uint64_t refcount) {
  if (!hooks_.next_count) return Ok();
  while (count_ && count_->first < id) {
    Report(count_->first, "recipes name the chunk, but it has no row");
    DEDUPFS_RETURN_IF_ERROR(NextCount());
  }
  uint64_t real = 0;
  if (count_ && count_->first == id) {
    real = count_->second;
    DEDUPFS_RETURN_IF_ERROR(NextCount());
  }
  if (real != refcount) Report(id, Numbers("the reference count", refcount, real));
  return Ok();
}

Status Checker::NextCount() {
  if (!hooks_.next_count) return Ok();
  DEDUPFS_ASSIGN_OR_RETURN(count_, hooks_.next_count());
  return Ok();
}

Status Checker::CompareFingerprints() {
  std::vector<Fingerprint> fingerprints;
  fingerprints.reserve(batch_.size());
  for (const Line& line : batch_) fingerprints.push_back(line.row.fingerprint);
  DEDUPFS_ASSIGN_OR_RETURN(const auto entries, LoadFingerprints(parts_.kv, fingerprints));
  for (size_t i = 0; i < batch_.size(); ++i) {
    const ChunkId id = batch_[i].id;
    if (entries[i].damage) {
      Report(id, entries[i].damage->message);
    } else if (!entries[i].row) {
      Report(id, "the chunk has no fingerprint entry");
    } else if (*entries[i].row != id) {
      Report(id, Numbers("the chunk that its fingerprint entry names", *entries[i].row, id));
    } else {
      ++agreeing_fingerprints_;
    }
  }
  return Ok();
}

void Checker::VerifyRecord(Line& line) const {
  thread_local Buffer raw;
  const Status read = ReadRecord(parts_.packs, line.id, line.row, raw);
  if (!read) {
    line.problem = read.error().code == ENOENT
                       ? "pack " + std::to_string(line.row.location.pack) + " is missing"
                       : read.error().message;
  } else if (!(FingerprintOf(raw) == line.row.fingerprint)) {
    line.problem = "the content in pack " + std::to_string(line.row.location.pack) + " at offset " +
                   std::to_string(line.row.location.offset) +
                   " does not have the SHA-256 of the chunk";
  }
  if (!line.problem.empty() && HasWholeCopy(parts_, line.id, line.row)) {
    line.problem += "; its extra copy is whole, and heals it when a mounted store reads it";
  }
}

void Checker::AddUp(const ChunkRow& row) {
  PackRow& pack = packs_[row.location.pack];
  ++pack.total_chunks;
  pack.total_stored += row.location.stored;
  if (row.refcount == 0) {
    ++totals_.dead_chunks;
    totals_.dead_stored_bytes += row.location.stored;
    return;
  }
  ++pack.live_chunks;
  pack.live_bytes += row.location.stored;
  if (row.codec == Codec::kLz4) pack.live_lz4_bytes += row.location.stored;
  ++totals_.chunks;
  totals_.stored_bytes += row.location.stored;
  totals_.unique_bytes += row.raw;
  totals_.logical_bytes += row.raw * row.refcount;
}

// Each agreeing entry names another row, so that where there are no more entries than those, none
// can be astray: only the entries are counted then, and no row is looked up again.
Status Checker::StrayFingerprints() {
  uint64_t entries = 0;
  {
    const auto all = parts_.kv.Iterate(Family::kFingerprint, "", "");
    for (; all->Valid(); all->Next()) ++entries;
    DEDUPFS_RETURN_IF_ERROR(all->status());
  }
  if (entries == agreeing_fingerprints_) return Ok();
  const auto all = parts_.kv.Iterate(Family::kFingerprint, "", "");
  for (; all->Valid(); all->Next()) {
    Fingerprint fingerprint;
    if (all->key().size() != fingerprint.bytes.size()) {
      Report(0, "a fingerprint entry has a key of " + std::to_string(all->key().size()) + " bytes");
      continue;
    }
    std::memcpy(fingerprint.bytes.data(), all->key().data(), fingerprint.bytes.size());
    const auto id = ParseFingerprintEntry(all->value(), fingerprint);
    if (!id) {
      Report(0, id.error().message);
      continue;
    }
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&*id, 1}));
    if (rows[0].row && rows[0].row->fingerprint == fingerprint) continue;
    Report(*id, "the fingerprint entry " + fingerprint.Hex() + " names a chunk that is not its");
  }
  return all->status();
}

Status Checker::PackRows() {
  const auto rows = parts_.kv.Iterate(Family::kPack, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != sizeof(PackId)) {
      Report(0, "a pack row has a key of " + std::to_string(rows->key().size()) + " bytes");
      continue;
    }
    ++totals_.packs;
    const PackId pack = ParseBigU64(rows->key());
    PackRow real;
    if (const auto found = packs_.find(pack); found != packs_.end()) {
      real = found->second;
      packs_.erase(found);
    }
    const auto row = ParsePackRow(rows->value(), pack);
    if (!row) {
      Report(0, row.error().message);
    } else if (!(*row == real)) {
      const std::string name = "row of pack " + std::to_string(pack) + ": ";
      if (row->live_chunks != real.live_chunks) {
        Report(0, name + Numbers("live_chunks", row->live_chunks, real.live_chunks));
      } else if (row->total_chunks != real.total_chunks) {
        Report(0, name + Numbers("total_chunks", row->total_chunks, real.total_chunks));
      } else if (row->live_bytes != real.live_bytes) {
        Report(0, name + Numbers("live_bytes", row->live_bytes, real.live_bytes));
      } else if (row->total_stored != real.total_stored) {
        Report(0, name + Numbers("total_stored", row->total_stored, real.total_stored));
      } else {
        Report(0, name + Numbers("live_lz4_bytes", row->live_lz4_bytes, real.live_lz4_bytes));
      }
    }
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  for (const auto& [pack, real] : packs_) {
    Report(0, "pack " + std::to_string(pack) + " has chunks, but no row");
  }
  return Ok();
}

Status Checker::Totals() {
  const auto totals = LoadTotals(parts_.kv);
  if (!totals) {
    Report(0, totals.error().message);
    return Ok();
  }
  const auto compare = [this](const char* name, uint64_t stored, uint64_t real) {
    if (stored != real) Report(0, Numbers(std::string("total ") + name, stored, real));
  };
  compare("logical_bytes", totals->logical_bytes, totals_.logical_bytes);
  compare("unique_bytes", totals->unique_bytes, totals_.unique_bytes);
  compare("stored_bytes", totals->stored_bytes, totals_.stored_bytes);
  compare("chunks", totals->chunks, totals_.chunks);
  compare("dead_stored_bytes", totals->dead_stored_bytes, totals_.dead_stored_bytes);
  compare("dead_chunks", totals->dead_chunks, totals_.dead_chunks);
  compare("packs", totals->packs, totals_.packs);
  return Ok();
}

}  // namespace

Status CheckStore(const CheckParts& parts, const ChunkStore::CheckHooks& hooks) {
  return Checker(parts, hooks).Run();
}

}  // namespace dedupfs
