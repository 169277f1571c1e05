// The rows that a scrub keeps in the database: where it is, the packs that it goes through in their
// order, and those that it must look at by their chunk rows (format: docs/format/chunk-index.md).
//
// Thread safety: pure functions over a Kv; one scrub at a time writes.
// Errors:        those of the Kv; EIO for a row that does not parse. The record is of use to no
//                one but the next scrub: one that does not parse is logged and taken for none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/packs/pack_format.h"
#include "chunkstore/scrub_status.h"

namespace dedupfs {

inline constexpr size_t kScrubRecordSize = 106;
inline constexpr size_t kScrubPlanPagePacks = 4096;

// A pack, and the stored bytes of the chunks that lay in it when the pass began.
struct ScrubPlanEntry {
  PackId pack = 0;
  uint64_t bytes = 0;
  bool operator==(const ScrubPlanEntry&) const = default;
};

// What of a record is left when a pass begins.
inline ScrubRecord NewPass(const ScrubRecord& before) {
  ScrubRecord record;
  record.last = before.last;
  return record;
}

std::string EncodeScrubRecord(const ScrubRecord& record);
Result<ScrubRecord> ParseScrubRecord(std::string_view value);
std::string EncodeScrubPlanPage(const std::vector<ScrubPlanEntry>& entries);
Result<std::vector<ScrubPlanEntry>> ParseScrubPlanPage(std::string_view value);

void PutScrubRecord(Batch& batch, const ScrubRecord& record);
Result<ScrubRecord> LoadScrubRecord(Kv& kv);

void PutScrubPlanPage(Batch& batch, uint64_t page, const std::vector<ScrubPlanEntry>& entries);
Result<std::vector<ScrubPlanEntry>> LoadScrubPlanPage(Kv& kv, uint64_t page);

void PutScrubByRows(Batch& batch, PackId pack);
Result<std::unordered_set<PackId>> LoadScrubByRows(Kv& kv);

// Adds the removal of all rows of a plan, and of the packs to be looked at by their chunk rows.
Status DeleteScrubPlan(Kv& kv, Batch& batch);

}  // namespace dedupfs
