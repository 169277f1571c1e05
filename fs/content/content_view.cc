#include "fs/content/content_view.h"

#include <algorithm>
#include <cstring>

namespace dedupfs {

void PlanReads(const RecipeEntries& entries, uint64_t begin, int64_t shift, MutableBytes buffer,
               std::vector<ChunkStore::ReadItem>& out) {
  const uint64_t from = begin + static_cast<uint64_t>(shift);
  const uint64_t to = from + buffer.size();
  uint64_t done = from;
  for (auto at = FirstEndingAfter(entries, from); at != entries.end() && at->offset < to; ++at) {
    // Entries of damaged pages may overlap: then the first one counts.
    const uint64_t first = std::max(at->offset, done);
    const uint64_t last = std::min(at->end(), to);
    if (first >= last) continue;
    std::memset(buffer.data() + (done - from), 0, first - done);
    out.push_back({at->id, static_cast<uint32_t>(first - at->offset),
                   buffer.subspan(first - from, last - first)});
    done = last;
  }
  std::memset(buffer.data() + (done - from), 0, to - done);
}

Status ContentView::Read(uint64_t offset, MutableBytes out) {
  const uint64_t end = offset + out.size();
  std::vector<ChunkStore::ReadItem> reads;
  auto extent = std::partition_point(extents_.begin(), extents_.end(),
                                     [&](const Extent& e) { return e.end() <= offset; });
  for (uint64_t at = offset; at < end;) {
    if (extent == extents_.end() || extent->offset > at) {
      const uint64_t stop = extent == extents_.end() ? end : std::min(end, extent->offset);
      const MutableBytes part = out.subspan(at - offset, stop - at);
      RecipeEntries entries;
      DEDUPFS_RETURN_IF_ERROR(recipe_.Entries(at, stop, entries));
      PlanReads(entries, at, 0, part, reads);
      at = stop;
      continue;
    }
    const uint64_t stop = std::min(end, extent->end());
    const MutableBytes part = out.subspan(at - offset, stop - at);
    const uint64_t within = extent->source_offset + (at - extent->offset);
    if (extent->data != nullptr) {
      std::memcpy(part.data(), extent->data->data() + within, part.size());
    } else if (extent->clone != nullptr) {
      PlanReads(extent->clone->entries, at, static_cast<int64_t>(within - at), part, reads);
    } else {
      std::memset(part.data(), 0, part.size());
    }
    at = stop;
    ++extent;
  }
  if (reads.empty()) return Ok();
  return chunks_.ReadMany(reads);
}

ContentView::Piece ContentView::PieceAt(uint64_t offset) const {
  const auto extent = std::partition_point(extents_.begin(), extents_.end(),
                                           [&](const Extent& e) { return e.end() <= offset; });
  if (extent != extents_.end() && extent->offset <= offset) {
    return {extent->offset, std::min(extent->end(), size_), &*extent};
  }
  return {extent == extents_.begin() ? 0 : std::prev(extent)->end(),
          extent == extents_.end() ? size_ : std::min(extent->offset, size_), nullptr};
}

Result<uint64_t> ContentView::KnownZerosEnd(uint64_t offset) {
  const Piece piece = PieceAt(offset);
  uint64_t end = piece.end;
  if (piece.extent == nullptr) {
    DEDUPFS_ASSIGN_OR_RETURN(const std::optional<RecipeEntry> next,
                             recipe_.FirstEndingAfter(offset));
    if (next.has_value()) end = std::min(end, next->offset);
  } else if (piece.extent->data != nullptr) {
    return offset;
  } else if (piece.extent->clone != nullptr) {
    const RecipeEntries& entries = piece.extent->clone->entries;
    const uint64_t source = piece.extent->source_offset + (offset - piece.extent->offset);
    const auto next = FirstEndingAfter(entries, source);
    if (next != entries.end()) {
      end = next->offset <= source ? offset : std::min(end, offset + (next->offset - source));
    }
  }
  if (end >= size_) return size_;
  return std::max(offset, end - end % kHoleBlock);
}

}  // namespace dedupfs
