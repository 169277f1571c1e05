// Recipes: which chunk holds which bytes of a file (format: docs/format/content.md).
//
// A recipe is kept in pages. Page N holds the entries that start in [N, N+1) * kRecipePageSpan of the file; bytes that no
// entry covers are holes. So page bounds depend on the content alone.
//
// Thread safety: values and pure functions.
// Errors:        Parse gives EIO naming the inode and page for anything that is no valid page.
// Units:         bytes of the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/packs/pack_format.h"
#include "fs/types.h"

namespace dedupfs {

inline constexpr uint64_t kRecipePageSpan = 16ull << 20;

struct RecipeEntry {
  uint64_t offset = 0;
  uint32_t length = 0;
  ChunkId id = 0;

  uint64_t end() const { return offset + length; }
  bool operator==(const RecipeEntry&) const = default;
};
using RecipeEntries = std::vector<RecipeEntry>;  // ascending, never overlapping

std::string RecipeKey(Ino ino, uint64_t page);
uint64_t RecipePageOfKey(std::string_view key);

// Requires entries that all start in `page`.
std::string EncodeRecipePage(uint64_t page, const RecipeEntries& entries);
Result<RecipeEntries> ParseRecipePage(Ino ino, uint64_t page, std::string_view value);

// The first entry that ends after `offset`, or entries.end().
RecipeEntries::const_iterator FirstEndingAfter(const RecipeEntries& entries, uint64_t offset);

}  // namespace dedupfs
