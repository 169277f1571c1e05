// The end of a file: its chunks are counted down in batches that a crash may interrupt anywhere.
#include <utility>

#include "fs/content/files.h"

namespace dedupfs {
namespace {

constexpr size_t kPurgePages = 64;  // of one batch

}  // namespace

Status Files::Purge(Ino ino, Batch last) {
  if (FilePtr file = table_.Find(ino); file != nullptr) {
    {
      MutexLock flush(file->flush_mutex);
      MutexLock lock(file->mutex);
      file->dropped = true;
      file->extents.Clear();
      file->pages.clear();
      ++file->recipe_version;
    }
    flusher_.UpdateWeight(*file);
    table_.Release(std::move(file));
  }
  const std::string prefix = ContentKey(ino);
  std::string from = prefix;  // what lies before is gone: not walked again
  while (true) {
    Batch batch;
    std::vector<CountChange> changes;
    {
      const auto rows = kv_.Iterate(Family::kRecipe, from, PrefixEnd(prefix));
      for (size_t pages = 0; rows->Valid() && pages < kPurgePages; rows->Next(), ++pages) {
        if (rows->key().size() != 16) return Corrupt("recipe row with a key of the wrong length");
        DEDUPFS_ASSIGN_OR_RETURN(
            const RecipeEntries entries,
            ParseRecipePage(ino, RecipePageOfKey(rows->key()), rows->value()));
        for (const RecipeEntry& entry : entries) changes.push_back({entry.id, -1});
        batch.Delete(Family::kRecipe, rows->key());
        from = rows->key();
      }
      DEDUPFS_RETURN_IF_ERROR(rows->status());
    }
    const bool done = changes.empty() || batch.count() < kPurgePages;
    if (done) {
      const auto rows = kv_.Iterate(Family::kDirty, prefix, PrefixEnd(prefix));
      for (; rows->Valid(); rows->Next()) batch.Delete(Family::kDirty, rows->key());
      DEDUPFS_RETURN_IF_ERROR(rows->status());
      batch.Delete(Family::kContent, prefix);
      batch.Append(last);
    }
    DEDUPFS_RETURN_IF_ERROR(chunks_.Commit(std::move(batch), changes, Durability::kBuffered));
    if (done) return Ok();
  }
}

}  // namespace dedupfs
