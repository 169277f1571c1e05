// What a repair does with recipes once it is known which chunks can be read.
#include <algorithm>
#include <optional>

#include "chunkstore/base/coding.h"
#include "fs/content/content_repair.h"
#include "fs/damage.h"

namespace dedupfs {
namespace {

using Visit = std::function<Status(Ino, uint64_t page, RecipeEntries&)>;

Status ForEachPage(Kv& kv, const Visit& visit) {
  const auto rows = kv.Iterate(Family::kRecipe, "", "");
  for (; rows->Valid(); rows->Next()) {
    const Ino ino = ParseBigU64(rows->key());
    const uint64_t page = RecipePageOfKey(rows->key());
    DEDUPFS_ASSIGN_OR_RETURN(RecipeEntries entries, ParseRecipePage(ino, page, rows->value()));
    DEDUPFS_RETURN_IF_ERROR(visit(ino, page, entries));
  }
  return rows->status();
}

}  // namespace

Result<ChunkId> ContentRepair::LastChunk() {
  ChunkId last = 0;
  const auto rows = kv_.Iterate(Family::kRecipe, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 16) continue;
    const auto entries =
        ParseRecipePage(ParseBigU64(rows->key()), RecipePageOfKey(rows->key()), rows->value());
    if (!entries) continue;
    for (const RecipeEntry& entry : *entries) last = std::max(last, entry.id);
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return last;
}

Status ContentRepair::NameUsers(const std::vector<ChunkId>& ids) {
  Ino ino = 0;
  uint64_t begin = 0, end = 0;
  const auto tell = [&] {
    if (end > begin) harmed_(ino, RangeText(begin, end - begin) + " are lost");
  };
  DEDUPFS_RETURN_IF_ERROR(
      ForEachPage(kv_, [&](Ino at, uint64_t, const RecipeEntries& entries) -> Status {
        for (const RecipeEntry& entry : entries) {
          if (!std::binary_search(ids.begin(), ids.end(), entry.id)) continue;
          if (lost_raw_.contains(entry.id)) continue;  // told when it was made
          if (at != ino || entry.offset != end) {
            tell();
            ino = at;
            begin = entry.offset;
          }
          end = entry.end();
        }
        return Ok();
      }));
  tell();
  return Ok();
}

Status ContentRepair::ReplaceChunks(const std::unordered_map<ChunkId, ChunkId>& replaced) {
  if (replaced.empty()) return Ok();
  return ForEachPage(kv_, [&](Ino ino, uint64_t page, RecipeEntries& entries) -> Status {
    bool changed = false;
    for (RecipeEntry& entry : entries) {
      auto found = replaced.find(entry.id);
      for (; found != replaced.end(); found = replaced.find(entry.id)) {
        entry.id = found->second;  // which may be replaced itself
        changed = true;
      }
    }
    if (!changed) return Ok();
    return Put(Family::kRecipe, RecipeKey(ino, page), EncodeRecipePage(page, entries));
  });
}

Status ContentRepair::MakeFile(Ino ino, const std::vector<std::pair<ChunkId, uint32_t>>& chunks) {
  ContentRecord record;
  record.policy = {ChunkingKind::kContentDefined, average_};
  record.policy_chosen = true;
  record.mtime = record.ctime = Now();
  RecipeEntries entries;
  uint64_t page = 0;
  const auto flush = [&]() -> Status {
    if (entries.empty()) return Ok();
    DEDUPFS_RETURN_IF_ERROR(
        Put(Family::kRecipe, RecipeKey(ino, page), EncodeRecipePage(page, entries)));
    entries.clear();
    return Ok();
  };
  for (const auto& [id, length] : chunks) {
    if (record.size / kRecipePageSpan != page) {
      DEDUPFS_RETURN_IF_ERROR(flush());
      page = record.size / kRecipePageSpan;
    }
    entries.push_back({record.size, length, id});
    record.size += length;
  }
  DEDUPFS_RETURN_IF_ERROR(flush());
  record.recipe_size = record.data_bytes = record.size;
  return Put(Family::kContent, ContentKey(ino), EncodeContentRecord(record));
}

}  // namespace dedupfs
