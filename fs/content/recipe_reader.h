// Reads the committed recipe of one file, page by page, through the file's small page cache.
//
// Thread safety: Page() may be called concurrently for one file.
// Errors:        EIO naming inode and page for a row that cannot be parsed.
#pragma once

#include <memory>

#include "chunkstore/base/kv.h"
#include "fs/content/file_state.h"

namespace dedupfs {

class RecipeReader {
 public:
  RecipeReader(Kv& kv, FileState& file) : kv_(kv), file_(file) {}

  // The entries that start in the page; empty where there are none.
  Result<std::shared_ptr<const RecipeEntries>> Page(uint64_t page);

  // Appends to `out` the entries that touch [begin, end). Pages without a row cost one look-up each, so that
  // callers walk huge holes by NextPage.
  Status Entries(uint64_t begin, uint64_t end, RecipeEntries& out);

  // The first page number >= `page` that has a row; nullopt if there is none.
  Result<std::optional<uint64_t>> NextPage(uint64_t page);

  // The first entry that ends after `offset`; nullopt where only a hole is left.
  Result<std::optional<RecipeEntry>> FirstEndingAfter(uint64_t offset);

 private:
  static constexpr size_t kCachedPages = 64;  // a GiB of the file

  Kv& kv_;
  FileState& file_;
};

}  // namespace dedupfs
