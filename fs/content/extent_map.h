// The changes of one file that are not chunked yet, over its recipe: dirty extents in memory.
//
// Thread safety: none; FileState::mutex guards it. Snapshots are values that share the data.
// Units:         bytes of the file. dirty_bytes counts data plus a share for bookkeeping, so that a
//                million tiny extents weigh what they cost.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/recipe_page.h"

namespace dedupfs {

// A range of another file's recipe (or of the same file's, earlier), whose chunks it keeps pinned.
struct CloneSource {
  RecipeEntries entries;     // in the coordinates of the source
  uint64_t recipe_size = 0;  // the file size that the source's recipe was made for
  ChunkPolicy policy;
  Pins pins;
};

// One run of a change. Exactly one of data and clone is set, or neither: zeros.
struct Extent {
  uint64_t offset = 0;
  uint64_t length = 0;
  uint64_t sequence = 0;
  std::shared_ptr<const Buffer> data;
  std::shared_ptr<const CloneSource> clone;
  uint64_t source_offset = 0;  // of `offset`, in data or in the clone's source

  uint64_t end() const { return offset + length; }
  bool zeros() const { return data == nullptr && clone == nullptr; }
  Bytes bytes() const { return Bytes(*data).subspan(source_offset, length); }
};

class ExtentMap {
 public:
  static constexpr uint64_t kExtentOverhead = 208;

  // Lays `extent` over what is there.
  void Insert(Extent extent);
  // Forgets everything from `offset` on.
  void CutFrom(uint64_t offset);
  // Forgets every extent with a sequence number up to `sequence`.
  void DropUpTo(uint64_t sequence);
  void Clear();

  // The extents that touch [begin, end), clipped to it, in order.
  std::vector<Extent> Overlapping(uint64_t begin, uint64_t end) const;
  std::vector<Extent> All() const;
  // The extents newer than `sequence`, by sequence and then offset. Takes no longer for the others.
  std::vector<Extent> NewerThan(uint64_t sequence) const;

  bool empty() const { return extents_.empty(); }
  size_t size() const { return extents_.size(); }  // in extents
  uint64_t dirty_bytes() const { return bytes_; }
  // The share of dirty_bytes of extents newer than `sequence`; `clones` tells whether a clone is
  // among them. Takes no longer for the others.
  uint64_t BytesAfter(uint64_t sequence, bool& clones) const;
  // The end of the last extent, 0 if there is none.
  uint64_t End() const;

 private:
  using Map = std::map<uint64_t, Extent>;
  static uint64_t Weight(const Extent& extent);
  void Add(Extent extent);
  void Cut(uint64_t begin, uint64_t end);

  Map extents_;
  std::set<std::pair<uint64_t, uint64_t>> by_sequence_;  // sequence and offset of each
  uint64_t bytes_ = 0;
};

}  // namespace dedupfs
