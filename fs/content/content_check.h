// Read-only verification of content records, recipes and dirty extents, and the true reference
// counts that they imply.
//
// Thread safety: one thread at a time, on a database that nobody writes.
// Ownership:     borrows `kv`.
// Memory:        bounded: counts are made in passes over the recipes, kIdsPerPass chunk ids each.
// Errors:        those of the database; damage goes to `report` with the inode.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "fs/content/content_record.h"
#include "fs/content/recipe_page.h"

namespace dedupfs {

class ContentCheck {
 public:
  using Report = std::function<void(Ino, const std::string&)>;
  enum class Kind { kFile, kOrphanedFile, kOther };
  using KindOf = std::function<Result<Kind>(Ino)>;

  ContentCheck(Kv& kv, Report report) : kv_(kv), report_(std::move(report)) {}

  Status CheckRows(const KindOf& kind_of);

  // Chunk ids with their reference counts, ascending; nullopt at the end (ChunkStore::CheckHooks).
  Result<std::optional<std::pair<ChunkId, uint64_t>>> NextCount();

  // Calls `found` for each file whose recipe names one of `ids`, once for each file.
  Status FindUsers(const std::unordered_set<ChunkId>& ids,
                   const std::function<void(Ino, ChunkId, uint64_t offset)>& found);

  uint64_t files() const { return files_; }
  uint64_t bytes() const { return bytes_; }

 private:
  static constexpr size_t kIdsPerPass = 16 << 20;

  Status CheckRecipe(Ino ino, const ContentRecord& record, Kind kind);
  Status CheckStrays(Family family, const char* what);
  Status CountPass();
  // Calls `visit` with every page that can be parsed; reports the others if asked to.
  Status ForEachPage(const std::function<void(Ino, const RecipeEntries&)>& visit);

  Kv& kv_;
  const Report report_;
  uint64_t files_ = 0;
  uint64_t bytes_ = 0;

  std::vector<uint64_t> counts_;
  ChunkId pass_begin_ = 0;
  std::optional<ChunkId> next_pass_ = 1;  // the smallest id that no pass has counted yet
  size_t position_ = 0;
};

}  // namespace dedupfs
