// The bytes of a file as of one instant: its dirty extents over its committed recipe.
//
// Thread safety: one thread at a time. The recipe below must not be committed anew meanwhile where
//                PieceAt and rechunking are used (the caller holds FileState::flush_mutex); Read
//                alone copes, by ENOENT from the chunk store: take a new view then.
// Ownership:     borrows kv, chunks and file; shares the extents' data.
// Units:         bytes of the file.
#pragma once

#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/file_state.h"
#include "fs/content/recipe_reader.h"

namespace dedupfs {

// Appends to `out` the reads that fill `buffer`, the bytes from `begin` on, from `entries`; what no
// entry covers is filled with zeros.
// `shift`: offset in the entries' coordinates minus offset in the buffer's.
void PlanReads(const RecipeEntries& entries, uint64_t begin, int64_t shift, MutableBytes buffer,
               std::vector<ChunkStore::ReadItem>& out);

class ContentView {
 public:
  // `extents` ascending and disjoint; bytes from `size` on do not exist.
  ContentView(Kv& kv, ChunkStore& chunks, FileState& file, std::vector<Extent> extents,
              uint64_t size)
      : chunks_(chunks), recipe_(kv, file), extents_(std::move(extents)), size_(size) {}

  uint64_t size() const { return size_; }
  RecipeReader& recipe() { return recipe_; }
  const std::vector<Extent>& extents() const { return extents_; }

  // Fills `out` with the bytes from `offset` on; offset + out.size() <= size().
  Status Read(uint64_t offset, MutableBytes out);

  // The longest run around `offset` that comes from one extent, or from the recipe (extent ==
  // nullptr).
  struct Piece {
    uint64_t begin = 0, end = 0;
    const Extent* extent = nullptr;
  };
  Piece PieceAt(uint64_t offset) const;

  // Where the zeros from `offset` on end as far as that is known without reading chunks or data:
  // a multiple of kHoleBlock or size(); `offset` itself where nothing is known.
  // Requires an aligned `offset` below size().
  Result<uint64_t> KnownZerosEnd(uint64_t offset);

 private:
  ChunkStore& chunks_;
  RecipeReader recipe_;
  std::vector<Extent> extents_;
  uint64_t size_;
};

}  // namespace dedupfs
