#include "chunkstore/scrub_pass.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <unordered_map>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/chunk_reader.h"
#include "chunkstore/chunk_table.h"

namespace dedupfs {
namespace {

constexpr size_t kRowsAtOnce = 4096;

bool SaysDamage(const Error& error) { return error.code == EIO || error.code == ENOENT; }

uint64_t NowSeconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
}

Status WrongContent() { return Corrupt("the content does not have the SHA-256 of the chunk"); }

}  // namespace

Result<bool> ScrubPass::Run(bool restart) {
  DEDUPFS_ASSIGN_OR_RETURN(record_, LoadScrubRecord(parts_.kv));
  if (restart || !record_.under_way) {
    DEDUPFS_ASSIGN_OR_RETURN(const bool planned, Plan());
    if (!planned) return false;
  }
  if (!go_on_(record_, 0)) return false;
  DEDUPFS_ASSIGN_OR_RETURN(const bool through, ScrubPacks());
  if (!through) return false;
  DEDUPFS_ASSIGN_OR_RETURN(const bool by_rows, ScrubByRows());
  if (!by_rows) return false;
  if (parts_.scrub_copies) {
    const auto go_on = [this](uint64_t bytes) { return go_on_(record_, bytes); };
    DEDUPFS_ASSIGN_OR_RETURN(const bool copies, parts_.scrub_copies(go_on));
    if (!copies) return false;
  }
  DEDUPFS_RETURN_IF_ERROR(Finish());
  return true;
}

Result<bool> ScrubPass::Plan() {
  record_ = NewPass(record_);
  // So that no chunk comes to a pack of the plan any more. On a full disk it stays open.
  const Status sealed = parts_.packs.SealOpen();
  if (!sealed) parts_.failure.SetUnlessFull(sealed.error());
  if (!sealed && sealed.error().code != ENOSPC && sealed.error().code != EDQUOT) {
    return Fail(sealed.error());
  }
  struct Sums {
    uint64_t references = 0, bytes = 0;
  };
  std::unordered_map<PackId, Sums> sums;
  size_t rows_read = 0;
  {
    const auto rows = parts_.kv.Iterate(Family::kChunk, "", "");
    for (; rows->Valid(); rows->Next()) {
      if (++rows_read % kRowsAtOnce == 0 && !go_on_(record_, 0)) return false;
      if (rows->key().size() != sizeof(ChunkId)) continue;  // for check to tell
      const auto row = ParseChunkRow(rows->value(), ParseBigU64(rows->key()));
      if (!row) {
        LogError("index_damaged", row.error().message);
        ++record_.damaged;
        continue;
      }
      Sums& pack = sums[row->location.pack];
      pack.references += row->refcount;
      pack.bytes += row->location.stored;
    }
    DEDUPFS_RETURN_IF_ERROR(rows->status());
  }
  std::vector<std::pair<PackId, Sums>> order(sums.begin(), sums.end());
  sums.clear();
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    if (a.second.references != b.second.references) {
      return a.second.references > b.second.references;
    }
    return a.first < b.first;
  });
  record_.under_way = true;
  record_.started_s = NowSeconds();
  record_.packs_total = order.size();
  Batch batch;
  DEDUPFS_RETURN_IF_ERROR(DeleteScrubPlan(parts_.kv, batch));
  for (size_t start = 0; start < order.size(); start += kScrubPlanPagePacks) {
    std::vector<ScrubPlanEntry> page;
    const size_t end = std::min(order.size(), start + kScrubPlanPagePacks);
    for (size_t i = start; i < end; ++i) {
      page.push_back({order[i].first, order[i].second.bytes});
      record_.bytes_total += order[i].second.bytes;
    }
    PutScrubPlanPage(batch, start / kScrubPlanPagePacks, page);
  }
  DEDUPFS_RETURN_IF_ERROR(Save(std::move(batch)));
  return true;
}

Result<bool> ScrubPass::ScrubPacks() {
  std::vector<ScrubPlanEntry> page;
  uint64_t page_number = UINT64_MAX;
  while (record_.packs_done < record_.packs_total) {
    const uint64_t wanted = record_.packs_done / kScrubPlanPagePacks;
    if (page_number != wanted) {
      DEDUPFS_ASSIGN_OR_RETURN(page, LoadScrubPlanPage(parts_.kv, wanted));
      page_number = wanted;
    }
    const size_t place = record_.packs_done % kScrubPlanPagePacks;
    if (place >= page.size())
      return Corrupt("the packs to be scrubbed are fewer than their number");
    const uint64_t bytes_before = record_.bytes_done;
    Batch batch;
    DEDUPFS_ASSIGN_OR_RETURN(auto lines, ListedLines(page[place].pack));
    if (!lines) {
      PutScrubByRows(batch, page[place].pack);
    } else {
      parts_.packs.DropCached(page[place].pack);  // what counts is what the disk has
      DEDUPFS_ASSIGN_OR_RETURN(const bool through, Verify(*lines));
      if (!through) return false;
      parts_.packs.DropCached(page[place].pack);  // nobody else wants it in memory
    }
    ++record_.packs_done;
    record_.bytes_done = bytes_before + page[place].bytes;
    DEDUPFS_RETURN_IF_ERROR(Save(std::move(batch)));
    if (!go_on_(record_, 0)) return false;
  }
  return true;
}

Result<std::optional<std::vector<ScrubPass::Line>>> ScrubPass::ListedLines(PackId pack) {
  std::vector<Line> lines;
  const auto contents = parts_.packs.List(pack);
  if (!contents && !SaysDamage(contents.error())) return Fail(contents.error());
  if (contents) {
    std::vector<ChunkId> ids;
    ids.reserve(contents->entries.size());
    for (const PackEntry& entry : contents->entries) ids.push_back(entry.header.id);
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (size_t start = 0; start < ids.size(); start += kRowsAtOnce) {
      const auto some = std::span(ids).subspan(start, std::min(kRowsAtOnce, ids.size() - start));
      DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, some));
      for (size_t i = 0; i < some.size(); ++i) {
        if (rows[i].damage) LogError("index_damaged", rows[i].damage->message);
        if (rows[i].row && rows[i].row->location.pack == pack) {
          lines.push_back({some[i], *rows[i].row});
        }
      }
    }
  }
  // After the chunk rows: chunks only leave a pack of the plan, so fewer than counted are too few.
  DEDUPFS_ASSIGN_OR_RETURN(const auto pack_rows, LoadPackRows(parts_.kv, {&pack, 1}));
  const bool unknown = pack_rows[0].damage.has_value();
  const uint64_t counted = pack_rows[0].row ? pack_rows[0].row->total_chunks : 0;
  if (unknown || lines.size() < counted) return std::optional<std::vector<Line>>();
  return std::optional(std::move(lines));
}

Result<bool> ScrubPass::ScrubByRows() {
  DEDUPFS_ASSIGN_OR_RETURN(const auto packs, LoadScrubByRows(parts_.kv));
  if (packs.empty()) return true;
  for (const PackId pack : packs) parts_.packs.DropCached(pack);
  const uint64_t bytes_done = record_.bytes_done;
  std::vector<Line> lines;
  const auto verify = [&]() -> Result<bool> {
    DEDUPFS_ASSIGN_OR_RETURN(const bool through, Verify(lines));
    lines.clear();
    record_.bytes_done = bytes_done;  // counted when their packs were passed over
    return through;
  };
  size_t rows_read = 0;
  const auto rows = parts_.kv.Iterate(Family::kChunk, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (++rows_read % kRowsAtOnce == 0 && !go_on_(record_, 0)) return false;
    if (rows->key().size() != sizeof(ChunkId)) continue;
    const ChunkId id = ParseBigU64(rows->key());
    const auto row = ParseChunkRow(rows->value(), id);
    if (!row || !packs.contains(row->location.pack)) continue;
    lines.push_back({id, *row});
    if (lines.size() < kRowsAtOnce) continue;
    DEDUPFS_ASSIGN_OR_RETURN(const bool through, verify());
    if (!through) return false;
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return verify();
}

Result<bool> ScrubPass::Verify(std::vector<Line>& lines) {
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    const Location& x = a.row.location;
    const Location& y = b.row.location;
    return std::pair(x.pack, x.offset) < std::pair(y.pack, y.offset);
  });
  for (size_t start = 0; start < lines.size(); start += raw_.size()) {
    const auto some = std::span(lines).subspan(start, std::min(raw_.size(), lines.size() - start));
    std::array<Status, 2> done;
    const Status read = ReadAndHash(some, done);
    if (!read) return Fail(read.error());
    uint64_t bytes = 0;
    for (size_t i = 0; i < some.size(); ++i) {
      bytes += some[i].row.location.stored;
      DEDUPFS_RETURN_IF_ERROR(Settle(some[i], std::move(done.at(i))));
    }
    record_.bytes_done = std::min(record_.bytes_done + bytes, record_.bytes_total);
    if (!go_on_(record_, bytes)) return false;
  }
  return true;
}

// Reads up to two records, and hashes two as fast as one.
Status ScrubPass::ReadAndHash(std::span<Line> lines, std::span<Status> done) {
  for (size_t i = 0; i < lines.size(); ++i) {
    done[i] = ReadRecord(parts_.packs, lines[i].id, lines[i].row, raw_.at(i));
    if (!done[i] && !SaysDamage(done[i].error())) return done[i];
  }
  std::array<Fingerprint, 2> real;
  if (lines.size() == 2 && done[0] && done[1]) {
    FingerprintPair(raw_[0], raw_[1], real[0], real[1]);
  } else {
    for (size_t i = 0; i < lines.size(); ++i) {
      if (done[i]) real.at(i) = FingerprintOf(raw_.at(i));
    }
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    if (done[i] && !(real.at(i) == lines[i].row.fingerprint)) done[i] = WrongContent();
  }
  return Ok();
}

Status ScrubPass::Settle(Line& line, Status verified) {
  ++record_.chunks;
  while (!verified) {
    // The record may have moved, or gone with its chunk, since the row was read.
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&line.id, 1}));
    if (rows[0].damage) return Fail(*rows[0].damage);
    if (!rows[0].row) return Ok();
    if (rows[0].row->location == line.row.location) break;
    line.row = *rows[0].row;
    DEDUPFS_RETURN_IF_ERROR(ReadAndHash({&line, 1}, {&verified, 1}));
  }
  const Location& at = line.row.location;
  if (verified) {
    if (line.row.condemned) parts_.absolve(line.id, at);
    return Ok();
  }
  LogError("chunk_damaged", "chunk=" + std::to_string(line.id) + " pack=" +
                                std::to_string(at.pack) + " offset=" + std::to_string(at.offset) +
                                " error=\"" + verified.error().message + "\"");
  DEDUPFS_RETURN_IF_ERROR(parts_.condemn(line.id, at));
  ++record_.damaged;
  if (parts_.heal) parts_.heal(line.id, line.row);
  return Ok();
}

// The marks of damage come earlier in the log, so a position that survives comes with them.
Status ScrubPass::Save(Batch batch) {
  PutScrubRecord(batch, record_);
  DEDUPFS_RETURN_IF_ERROR(parts_.kv.Write(batch, Durability::kBuffered));
  return parts_.kv.FlushLog();
}

Status ScrubPass::Finish() {
  record_.under_way = false;
  record_.last = {record_.started_s,  NowSeconds(),   record_.packs_done,
                  record_.bytes_done, record_.chunks, record_.damaged};
  Batch batch;
  DEDUPFS_RETURN_IF_ERROR(DeleteScrubPlan(parts_.kv, batch));
  DEDUPFS_RETURN_IF_ERROR(Save(std::move(batch)));
  go_on_(record_, 0);
  return Ok();
}

}  // namespace dedupfs
