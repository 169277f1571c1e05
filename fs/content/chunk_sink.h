// Gathers the new chunks of one or many files and hands them to the chunk store in large batches.
//
// Thread safety: one thread at a time.
// Ownership:     borrows the store and the pins; keeps the chunks' bytes until they are stored.
// Errors:        those of ChunkStore::Store.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "chunkstore/chunk_store.h"
#include "fs/content/recipe_page.h"

namespace dedupfs {

// The entries that start in [begin, end) of the old recipe give way to `entries`. Their ids are set
// once the sink is flushed.
struct RecipeEdit {
  uint64_t begin = 0;
  uint64_t end = 0;  // UINT64_MAX: to the end of the recipe
  RecipeEntries entries;
};

class ChunkSink {
 public:
  ChunkSink(ChunkStore& chunks, Pins& pins) : chunks_(chunks), pins_(pins) {}

  // Will store `data`, which lies in `owner`, and set entries[index].id, at the latest in Flush().
  Status Add(Bytes data, const std::shared_ptr<const Buffer>& owner, uint64_t offset,
             CodecHint* hint, RecipeEntries& entries, size_t index);
  Status Flush();

  // The error of the store that an earlier Add() returned, if one did.
  const std::optional<Error>& failure() const { return failure_; }
  // Drops what is waiting for these edits' entries, whose file has failed.
  void Forget(const std::vector<std::unique_ptr<RecipeEdit>>& edits);

 private:
  static constexpr uint64_t kBatchBytes = 32ull << 20;

  struct Target {
    RecipeEntries* entries;
    size_t index;
  };
  ChunkStore& chunks_;
  Pins& pins_;
  std::vector<StoreRequest> requests_;
  std::vector<Target> targets_;
  std::vector<std::shared_ptr<const Buffer>> owners_;
  uint64_t bytes_ = 0;
  std::optional<Error> failure_;
};

}  // namespace dedupfs
