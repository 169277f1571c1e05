#include "fs/content/recipe_reader.h"

#include <algorithm>
#include <utility>

namespace dedupfs {

Result<std::shared_ptr<const RecipeEntries>> RecipeReader::Page(uint64_t page) {
  uint64_t version = 0;
  {
    MutexLock lock(file_.mutex);
    if (!file_.has_record) return std::make_shared<const RecipeEntries>();
    if (const auto found = file_.pages.find(page); found != file_.pages.end()) {
      return found->second;
    }
    version = file_.recipe_version;
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<std::string> value,
                           kv_.Get(Family::kRecipe, RecipeKey(file_.ino, page)));
  auto entries = std::make_shared<RecipeEntries>();
  if (value.has_value()) {
    DEDUPFS_ASSIGN_OR_RETURN(*entries, ParseRecipePage(file_.ino, page, *value));
  }
  MutexLock lock(file_.mutex);
  // A commit came between: what was read may be either side of it, and must not be kept.
  if (file_.recipe_version == version) {
    if (file_.pages.size() >= kCachedPages) file_.pages.clear();
    file_.pages[page] = entries;
  }
  return std::shared_ptr<const RecipeEntries>(std::move(entries));
}

Status RecipeReader::Entries(uint64_t begin, uint64_t end, RecipeEntries& out) {
  if (begin >= end) return Ok();
  const auto take = [&](const RecipeEntries& entries) {
    for (auto at = dedupfs::FirstEndingAfter(entries, begin);
         at != entries.end() && at->offset < end; ++at) {
      out.push_back(*at);
    }
  };
  uint64_t page = begin / kRecipePageSpan;
  const uint64_t last = (end - 1) / kRecipePageSpan;
  if (page == last) {
    DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<const RecipeEntries> entries, Page(page));
    const bool whole = page == 0 || begin % kRecipePageSpan >= kLargestChunk ||
                       (!entries->empty() && entries->front().offset <= begin);
    if (whole) {
      take(*entries);
      return Ok();
    }
  }
  // A chunk that starts in the page before may reach into this one.
  if (page > 0 && begin % kRecipePageSpan < kLargestChunk) --page;
  // As of one instant: pages of two recipes may leave a gap between them, or overlap.
  const auto rows =
      kv_.Iterate(Family::kRecipe, RecipeKey(file_.ino, page), RecipeKey(file_.ino, last + 1));
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 16) return Corrupt("recipe row with a key of the wrong length");
    DEDUPFS_ASSIGN_OR_RETURN(
        const RecipeEntries entries,
        ParseRecipePage(file_.ino, RecipePageOfKey(rows->key()), rows->value()));
    take(entries);
  }
  return rows->status();
}

Result<std::optional<uint64_t>> RecipeReader::NextPage(uint64_t page) {
  {
    MutexLock lock(file_.mutex);
    if (!file_.has_record) return std::optional<uint64_t>();
  }
  const auto rows =
      kv_.Iterate(Family::kRecipe, RecipeKey(file_.ino, page), RecipeKey(file_.ino, UINT64_MAX));
  if (!rows->Valid()) {
    DEDUPFS_RETURN_IF_ERROR(rows->status());
    return std::optional<uint64_t>();
  }
  if (rows->key().size() != 16) return Corrupt("recipe row with a key of the wrong length");
  return std::optional<uint64_t>(RecipePageOfKey(rows->key()));
}

Result<std::optional<RecipeEntry>> RecipeReader::FirstEndingAfter(uint64_t offset) {
  uint64_t page = offset / kRecipePageSpan;
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<const RecipeEntries> entries, Page(page));
  const auto near = dedupfs::FirstEndingAfter(*entries, offset);
  const bool may_begin_before = page > 0 && offset % kRecipePageSpan < kLargestChunk;
  if (near != entries->end() && (!may_begin_before || near->offset <= offset)) {
    return std::optional<RecipeEntry>(*near);
  }
  if (may_begin_before) --page;
  // As of one instant, as in Entries().
  const auto rows =
      kv_.Iterate(Family::kRecipe, RecipeKey(file_.ino, page), RecipeKey(file_.ino, UINT64_MAX));
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 16) return Corrupt("recipe row with a key of the wrong length");
    DEDUPFS_ASSIGN_OR_RETURN(
        const RecipeEntries found,
        ParseRecipePage(file_.ino, RecipePageOfKey(rows->key()), rows->value()));
    const auto at = dedupfs::FirstEndingAfter(found, offset);
    if (at != found.end()) return std::optional<RecipeEntry>(*at);
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return std::optional<RecipeEntry>();
}

}  // namespace dedupfs
