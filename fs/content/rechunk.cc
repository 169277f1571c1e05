#include "fs/content/rechunk.h"

#include <algorithm>
#include <cstring>

namespace dedupfs {
namespace {

constexpr uint64_t kWindowBytes = 4ull << 20;

bool AllZero(Bytes bytes) {
  if (bytes.empty()) return true;
  return bytes[0] == std::byte{0} &&
         std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

}  // namespace

Status Rechunker::Run(std::vector<std::unique_ptr<RecipeEdit>>& edits) {
  uint64_t done = 0;  // everything before is right, and a boundary lies here
  for (const Range& range : ChangedRanges()) {
    if (range.end <= done) continue;
    DEDUPFS_ASSIGN_OR_RETURN(const uint64_t restart, Restart(range.begin));
    edits.push_back(std::make_unique<RecipeEdit>());
    RecipeEdit& edit = *edits.back();
    edit.begin = std::max(restart, done);
    DEDUPFS_RETURN_IF_ERROR(RunOne(edit));
    done = edit.end;
    if (done == UINT64_MAX) break;
  }
  return Ok();
}

std::vector<Rechunker::Range> Rechunker::ChangedRanges() const {
  std::vector<Range> ranges;
  const uint64_t size = view_.size();
  for (const Extent& extent : view_.extents()) {
    if (extent.offset >= size) break;
    const uint64_t end = std::min(extent.end(), size);
    if (!ranges.empty() && ranges.back().end == extent.offset) {
      ranges.back().end = end;
    } else {
      ranges.push_back({extent.offset, end});
    }
  }
  if (size != old_size_) {
    const Range resized{std::min(size, old_size_), std::max(size, old_size_)};
    const auto at =
        std::partition_point(ranges.begin(), ranges.end(),
                             [&](const Range& range) { return range.begin < resized.begin; });
    ranges.insert(at, resized);
  }
  return ranges;
}

Result<uint64_t> Rechunker::Restart(uint64_t changed) {
  const uint64_t block = changed - changed % kHoleBlock;
  const uint64_t from = block < policy_.max() ? 0 : block - policy_.max() + 1;
  RecipeEntries entries;
  DEDUPFS_RETURN_IF_ERROR(view_.recipe().Entries(from, block + 1, entries));
  for (const RecipeEntry& entry : entries) {
    if (entry.offset >= from && entry.offset <= block) return entry.offset;
  }
  return block;
}

Status Rechunker::RunOne(RecipeEdit& edit) {
  uint64_t position = edit.begin;
  while (position < view_.size()) {
    DEDUPFS_ASSIGN_OR_RETURN(const Reuse reuse, TryReuse(position, edit));
    if (reuse == Reuse::kInStep) {
      edit.end = position;
      return Ok();
    }
    if (reuse == Reuse::kTaken) continue;
    DEDUPFS_ASSIGN_OR_RETURN(const bool skipped, SkipHole(position));
    if (skipped) continue;
    DEDUPFS_RETURN_IF_ERROR(TakeChunk(position, edit));
  }
  edit.end = UINT64_MAX;
  return Ok();
}

Result<Rechunker::Reuse> Rechunker::TryReuse(uint64_t& position, RecipeEdit& edit) {
  const ContentView::Piece piece = view_.PieceAt(position);
  if (piece.extent != nullptr) {
    return TryClone(piece, position, edit) ? Reuse::kTaken : Reuse::kNone;
  }
  const bool same_end = view_.size() == old_size_ && piece.end >= view_.size();
  if (!same_end && !WindowEndsBefore(position, std::min(piece.end, old_size_))) {
    return Reuse::kNone;
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<RecipeEntry> next,
                           view_.recipe().FirstEndingAfter(position));
  const bool on_entry = next.has_value() && next->offset == position;
  const bool in_hole = position % kHoleBlock == 0 && (!next.has_value() || next->offset > position);
  return on_entry || in_hole ? Reuse::kInStep : Reuse::kNone;
}

bool Rechunker::TryClone(const ContentView::Piece& piece, uint64_t& position,
                         RecipeEdit& edit) const {
  const Extent& extent = *piece.extent;
  if (extent.clone == nullptr || extent.clone->policy != policy_) return false;
  const uint64_t source = extent.source_offset + (position - extent.offset);
  if (source % kHoleBlock != position % kHoleBlock) return false;
  const uint64_t source_end = extent.clone->recipe_size;
  const bool same_end =
      piece.end >= view_.size() && source + (view_.size() - position) == source_end;
  if (!same_end &&
      (!WindowEndsBefore(position, piece.end) || !WindowEndsBefore(source, source_end))) {
    return false;
  }
  const auto entry = FirstEndingAfter(extent.clone->entries, source);
  if (entry == extent.clone->entries.end() || entry->offset != source) return false;
  edit.entries.push_back({position, entry->length, entry->id});
  position += entry->length;
  return true;
}

Result<bool> Rechunker::SkipHole(uint64_t& position) {
  if (position % kHoleBlock != 0) return false;
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t end, view_.KnownZerosEnd(position));
  if (end > position) {
    position = end;
    return true;
  }
  DEDUPFS_RETURN_IF_ERROR(Fill(position, kHoleBlock));
  if (!BlockIsZero(position)) return false;
  position = std::min(position + kHoleBlock, view_.size());
  return true;
}

Status Rechunker::TakeChunk(uint64_t& position, RecipeEdit& edit) {
  DEDUPFS_RETURN_IF_ERROR(Fill(position, policy_.max() + kHoleBlock));
  const uint64_t limit = std::min(position + policy_.max(), view_.size());
  uint64_t end = limit;
  // The block that `position` lies in is no hole: a boundary inside a block was cut from its data.
  for (uint64_t block = position - position % kHoleBlock + kHoleBlock; block < limit;
       block += kHoleBlock) {
    if (BlockIsZero(block)) {
      end = block;
      break;
    }
  }
  const Bytes data = Window(position, end);
  const size_t length = FindCut(policy_, data);
  edit.entries.push_back({position, static_cast<uint32_t>(length), 0});
  DEDUPFS_RETURN_IF_ERROR(sink_.Add(data.first(length), window_, position, hint_, edit.entries,
                                    edit.entries.size() - 1));
  position += length;
  return Ok();
}

Status Rechunker::Fill(uint64_t position, uint64_t bytes) {
  const uint64_t size = view_.size();
  const uint64_t need = std::min(position + bytes, size);
  const uint64_t have_end = window_begin_ + window_->size();
  if (position >= window_begin_ && need <= have_end) return Ok();
  // What follows without a break is read along, but only data that is in memory already: around
  // an edit nothing is read that no window needs.
  uint64_t end = need;
  while (end < std::min(position + kWindowBytes, size)) {
    const ContentView::Piece piece = view_.PieceAt(end);
    if (piece.extent == nullptr || piece.extent->data == nullptr) break;
    end = std::min(piece.end, position + kWindowBytes);
  }
  auto window = std::make_shared<Buffer>(end - position);
  uint64_t from = position;
  if (position >= window_begin_ && position < have_end) {
    const Bytes kept = Window(position, have_end);
    std::memcpy(window->data(), kept.data(), kept.size());
    from = have_end;
  }
  DEDUPFS_RETURN_IF_ERROR(view_.Read(from, MutableBytes(*window).subspan(from - position)));
  window_ = std::move(window);
  window_begin_ = position;
  return Ok();
}

Bytes Rechunker::Window(uint64_t begin, uint64_t end) const {
  return Bytes(*window_).subspan(begin - window_begin_, end - begin);
}

bool Rechunker::BlockIsZero(uint64_t block) const {
  return AllZero(Window(block, std::min(block + kHoleBlock, view_.size())));
}

}  // namespace dedupfs
