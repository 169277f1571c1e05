#include "fs/content/damaged_ranges.h"

#include <algorithm>
#include <utility>

#include "chunkstore/base/coding.h"
#include "fs/content/recipe_page.h"

namespace dedupfs {

Result<std::optional<RecipePlace>> FindDamagedRanges(
    Kv& kv, std::span<const ChunkId> ids, RecipePlace from,
    const std::function<bool(Ino, std::vector<DamagedRange>)>& visit) {
  const auto rows = kv.Iterate(Family::kRecipe, RecipeKey(from.ino, from.page), "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 16) continue;  // for check to tell
    const Ino ino = ParseBigU64(rows->key());
    const uint64_t page = RecipePageOfKey(rows->key());
    const auto entries = ParseRecipePage(ino, page, rows->value());
    if (!entries) continue;
    std::vector<DamagedRange> ranges;
    for (const RecipeEntry& entry : *entries) {
      if (!std::binary_search(ids.begin(), ids.end(), entry.id)) continue;
      ranges.push_back({entry.offset, entry.length, entry.id});
    }
    if (ranges.empty()) continue;
    if (!visit(ino, std::move(ranges))) return std::optional(RecipePlace{ino, page + 1});
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return std::optional<RecipePlace>();
}

}  // namespace dedupfs
