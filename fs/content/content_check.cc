#include "fs/content/content_check.h"

#include <algorithm>

#include "chunkstore/base/coding.h"
#include "fs/content/dirty_row.h"

namespace dedupfs {

Status ContentCheck::CheckRows(const KindOf& kind_of) {
  const auto rows = kv_.Iterate(Family::kContent, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 8) {
      report_(0, "content record with a key of the wrong length");
      continue;
    }
    const Ino ino = ParseBigU64(rows->key());
    const auto record = ParseContentRecord(ino, rows->value());
    if (!record) {
      report_(ino, record.error().message);
      continue;
    }
    DEDUPFS_ASSIGN_OR_RETURN(const Kind kind, kind_of(ino));
    if (kind == Kind::kOther) report_(ino, "content record of what is no regular file");
    ++files_;
    bytes_ += record->size;
    DEDUPFS_RETURN_IF_ERROR(CheckRecipe(ino, *record, kind));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  DEDUPFS_RETURN_IF_ERROR(CheckStrays(Family::kRecipe, "recipe page"));
  return CheckStrays(Family::kDirty, "dirty extent");
}

Status ContentCheck::CheckRecipe(Ino ino, const ContentRecord& record, Kind kind) {
  const std::string prefix = ContentKey(ino);
  const auto pages = kv_.Iterate(Family::kRecipe, prefix, PrefixEnd(prefix));
  uint64_t end = 0;
  uint64_t data = 0;
  bool readable = true;
  for (; pages->Valid(); pages->Next()) {
    if (pages->key().size() != 16) {
      report_(ino, "recipe row with a key of the wrong length");
      continue;
    }
    const auto entries = ParseRecipePage(ino, RecipePageOfKey(pages->key()), pages->value());
    if (!entries) {
      report_(ino, entries.error().message);
      readable = false;
      continue;
    }
    if (entries->front().offset < end) report_(ino, "recipe pages overlap");
    end = entries->back().end();
    for (const RecipeEntry& entry : *entries) data += entry.length;
  }
  DEDUPFS_RETURN_IF_ERROR(pages->status());
  if (end > record.recipe_size) report_(ino, "the recipe goes beyond the end of the file");
  // A crash in the middle of a purge leaves a part of an orphan's recipe.
  if (readable && kind != Kind::kOrphanedFile && data != record.data_bytes) {
    report_(ino, "the recipe holds " + std::to_string(data) + " bytes, the record says " +
                     std::to_string(record.data_bytes));
  }
  const auto dirty = kv_.Iterate(Family::kDirty, prefix, PrefixEnd(prefix));
  if (dirty->Valid() && !record.has_dirty_rows) {
    report_(ino, "dirty extents that the record does not know of");
  }
  for (; dirty->Valid(); dirty->Next()) {
    const auto row = ParseDirtyRow(dirty->key(), dirty->value());
    if (!row) report_(ino, row.error().message);
  }
  return dirty->status();
}

// Rows of inodes that have no content record.
Status ContentCheck::CheckStrays(Family family, const char* what) {
  std::string from;
  while (true) {
    const auto rows = kv_.Iterate(family, from, "");
    DEDUPFS_RETURN_IF_ERROR(rows->status());
    if (!rows->Valid()) return Ok();
    if (rows->key().size() < 8) {
      report_(0, std::string(what) + " with a key of the wrong length");
      return Ok();
    }
    const Ino ino = ParseBigU64(rows->key());
    DEDUPFS_ASSIGN_OR_RETURN(const auto record, kv_.Get(Family::kContent, ContentKey(ino)));
    if (!record.has_value()) report_(ino, std::string(what) + " of a file without a content record");
    if (ino == UINT64_MAX) return Ok();
    from = ContentKey(ino + 1);
  }
}

Status ContentCheck::ForEachPage(const std::function<void(Ino, const RecipeEntries&)>& visit) {
  const auto rows = kv_.Iterate(Family::kRecipe, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 16) continue;  // reported by CheckRows
    const Ino ino = ParseBigU64(rows->key());
    const auto entries = ParseRecipePage(ino, RecipePageOfKey(rows->key()), rows->value());
    if (entries) visit(ino, *entries);
  }
  return rows->status();
}

Status ContentCheck::CountPass() {
  pass_begin_ = *next_pass_;
  next_pass_.reset();
  position_ = 0;
  counts_.clear();
  return ForEachPage([&](Ino, const RecipeEntries& entries) {
    for (const RecipeEntry& entry : entries) {
      if (entry.id < pass_begin_) continue;
      const uint64_t place = entry.id - pass_begin_;
      if (place >= kIdsPerPass) {
        next_pass_ = std::min(next_pass_.value_or(entry.id), entry.id);
        continue;
      }
      if (place >= counts_.size()) counts_.resize(place + 1);
      ++counts_[place];
    }
  });
}

Result<std::optional<std::pair<ChunkId, uint64_t>>> ContentCheck::NextCount() {
  while (true) {
    for (; position_ < counts_.size(); ++position_) {
      if (counts_[position_] == 0) continue;
      const std::pair<ChunkId, uint64_t> found(pass_begin_ + position_, counts_[position_]);
      ++position_;
      return std::optional(found);
    }
    if (!next_pass_.has_value()) return std::optional<std::pair<ChunkId, uint64_t>>();
    DEDUPFS_RETURN_IF_ERROR(CountPass());
  }
}

Status ContentCheck::FindUsers(const std::unordered_set<ChunkId>& ids,
                               const std::function<void(Ino, ChunkId, uint64_t)>& found) {
  Ino last = 0;
  return ForEachPage([&](Ino ino, const RecipeEntries& entries) {
    if (ino == last) return;
    for (const RecipeEntry& entry : entries) {
      if (!ids.contains(entry.id)) continue;
      found(ino, entry.id, entry.offset);
      last = ino;
      return;
    }
  });
}

}  // namespace dedupfs
