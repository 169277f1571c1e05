// Turns the changes of a file into changes of its recipe, so that the recipe depends on the content
// and the policy alone, however it was written (docs/architecture.md, "Canonical recipes").
//
// A hole is a maximal run of whole aligned blocks (kHoleBlock; the last one of a file may be short)
// that hold only zeros; every run of data between holes is chunked from its start on. An edit is
// chunked again from the first old chunk whose window reaches it, until a new boundary falls on an
// old one and no edit is within a window of it.
//
// Thread safety: one thread at a time; the caller holds the file's flush_mutex.
// Errors:        EIO where a chunk beside an edit cannot be read; those of ChunkStore::Store.
// Units:         bytes of the file.
#pragma once

#include <memory>
#include <vector>

#include "fs/content/chunk_sink.h"
#include "fs/content/content_view.h"

namespace dedupfs {

class Rechunker {
 public:
  // `old_size`: the file size that the committed recipe was made for.
  Rechunker(ContentView& view, const ChunkPolicy& policy, uint64_t old_size, ChunkSink& sink,
            CodecHint* hint)
      : view_(view), policy_(policy), old_size_(old_size), sink_(sink), hint_(hint) {}

  // Appends the edits in order, also where it fails half way. Each lives at its address until the
  // sink was flushed.
  Status Run(std::vector<std::unique_ptr<RecipeEdit>>& edits);

 private:
  struct Range {
    uint64_t begin, end;
  };
  std::vector<Range> ChangedRanges() const;
  Result<uint64_t> Restart(uint64_t changed);
  // Rechunks from edit.begin on until in step with the old recipe; sets edit.end.
  Status RunOne(RecipeEdit& edit);

  enum class Reuse { kNone, kInStep, kTaken };
  Result<Reuse> TryReuse(uint64_t& position, RecipeEdit& edit);
  bool TryClone(const ContentView::Piece& piece, uint64_t& position, RecipeEdit& edit) const;
  // True if no byte that decides about a chunk at `position` lies beyond `limit`.
  bool WindowEndsBefore(uint64_t position, uint64_t limit) const {
    return position + policy_.max() + kHoleBlock <= limit;
  }

  Result<bool> SkipHole(uint64_t& position);
  Status TakeChunk(uint64_t& position, RecipeEdit& edit);
  // Makes the window hold the bytes [position, position + bytes), as far as the file goes.
  Status Fill(uint64_t position, uint64_t bytes);
  Bytes Window(uint64_t begin, uint64_t end) const;
  bool BlockIsZero(uint64_t block) const;

  ContentView& view_;
  const ChunkPolicy policy_;
  const uint64_t old_size_;
  ChunkSink& sink_;
  CodecHint* const hint_;

  std::shared_ptr<Buffer> window_ = std::make_shared<Buffer>();
  uint64_t window_begin_ = 0;
};

}  // namespace dedupfs
