#include "chunkstore/scrub_rows.h"

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"

namespace dedupfs {
namespace {

constexpr std::string_view kRecordKey = "scrub";
constexpr std::string_view kPlanPrefix = "scrub_plan/";
constexpr std::string_view kByRowsPrefix = "scrub_by_rows/";
constexpr uint8_t kVersion = 1;
constexpr uint8_t kUnderWayFlag = 1;
constexpr size_t kPlanEntrySize = 16;

std::string Numbered(std::string_view prefix, uint64_t number) {
  return std::string(prefix) + BigU64(number);
}

Status DeleteAll(Kv& kv, std::string_view prefix, Batch& batch) {
  const auto rows = kv.Iterate(Family::kMeta, prefix, PrefixEnd(prefix));
  for (; rows->Valid(); rows->Next()) batch.Delete(Family::kMeta, rows->key());
  return rows->status();
}

}  // namespace

std::string EncodeScrubRecord(const ScrubRecord& record) {
  std::string out;
  PutU8(out, kVersion);
  PutU8(out, record.under_way ? kUnderWayFlag : 0);
  for (const uint64_t field : {record.started_s, record.packs_total, record.bytes_total,
                               record.packs_done, record.bytes_done, record.chunks, record.damaged,
                               record.last.started_s, record.last.finished_s, record.last.packs,
                               record.last.bytes, record.last.chunks, record.last.damaged}) {
    PutU64(out, field);
  }
  static_assert(kScrubRecordSize == 2 + 13 * sizeof(uint64_t));
  return out;
}

Result<ScrubRecord> ParseScrubRecord(std::string_view value) {
  Decoder decoder(value);
  const uint8_t version = decoder.U8();
  const uint8_t flags = decoder.U8();
  ScrubRecord record;
  record.under_way = flags == kUnderWayFlag;
  for (uint64_t* const field :
       {&record.started_s, &record.packs_total, &record.bytes_total, &record.packs_done,
        &record.bytes_done, &record.chunks, &record.damaged, &record.last.started_s,
        &record.last.finished_s, &record.last.packs, &record.last.bytes, &record.last.chunks,
        &record.last.damaged}) {
    *field = decoder.U64();
  }
  if (!decoder.AtEnd() || version != kVersion || flags > kUnderWayFlag ||
      record.packs_done > record.packs_total) {
    return Corrupt("the row of the scrub");
  }
  return record;
}

std::string EncodeScrubPlanPage(const std::vector<ScrubPlanEntry>& entries) {
  std::string out;
  PutU8(out, kVersion);
  for (const ScrubPlanEntry& entry : entries) {
    PutU64(out, entry.pack);
    PutU64(out, entry.bytes);
  }
  return out;
}

Result<std::vector<ScrubPlanEntry>> ParseScrubPlanPage(std::string_view value) {
  Decoder decoder(value);
  const uint8_t version = decoder.U8();
  std::vector<ScrubPlanEntry> entries;
  while (decoder.remaining() >= kPlanEntrySize) {
    const PackId pack = decoder.U64();
    entries.push_back({pack, decoder.U64()});
  }
  if (!decoder.AtEnd() || version != kVersion || entries.empty() ||
      entries.size() > kScrubPlanPagePacks) {
    return Corrupt("a row of the packs to be scrubbed");
  }
  return entries;
}

void PutScrubRecord(Batch& batch, const ScrubRecord& record) {
  batch.Put(Family::kMeta, kRecordKey, EncodeScrubRecord(record));
}

Result<ScrubRecord> LoadScrubRecord(Kv& kv) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv.Get(Family::kMeta, kRecordKey));
  if (!value) return ScrubRecord{};
  auto record = ParseScrubRecord(*value);
  if (record) return record;
  LogError("scrub_row_damaged", record.error().message);
  return ScrubRecord{};
}

void PutScrubPlanPage(Batch& batch, uint64_t page, const std::vector<ScrubPlanEntry>& entries) {
  batch.Put(Family::kMeta, Numbered(kPlanPrefix, page), EncodeScrubPlanPage(entries));
}

Result<std::vector<ScrubPlanEntry>> LoadScrubPlanPage(Kv& kv, uint64_t page) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv.Get(Family::kMeta, Numbered(kPlanPrefix, page)));
  if (!value) return Corrupt("page " + std::to_string(page) + " of the packs to be scrubbed");
  return ParseScrubPlanPage(*value);
}

void PutScrubByRows(Batch& batch, PackId pack) {
  batch.Put(Family::kMeta, Numbered(kByRowsPrefix, pack), {});
}

Result<std::unordered_set<PackId>> LoadScrubByRows(Kv& kv) {
  std::unordered_set<PackId> packs;
  const auto rows = kv.Iterate(Family::kMeta, kByRowsPrefix, PrefixEnd(kByRowsPrefix));
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != kByRowsPrefix.size() + sizeof(PackId)) continue;
    packs.insert(ParseBigU64(rows->key().substr(kByRowsPrefix.size())));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return packs;
}

Status DeleteScrubPlan(Kv& kv, Batch& batch) {
  DEDUPFS_RETURN_IF_ERROR(DeleteAll(kv, kPlanPrefix, batch));
  return DeleteAll(kv, kByRowsPrefix, batch);
}

}  // namespace dedupfs
