#include "fs/content/extent_map.h"

#include <algorithm>
#include <utility>

namespace dedupfs {
namespace {

Extent Clipped(const Extent& extent, uint64_t begin, uint64_t end) {
  Extent part = extent;
  part.offset = std::max(extent.offset, begin);
  part.length = std::min(extent.end(), end) - part.offset;
  part.source_offset = extent.source_offset + (part.offset - extent.offset);
  return part;
}

// What is left of an extent does not keep a large buffer for a small rest: the budget counts
// lengths, not buffers.
Extent Slim(Extent part) {
  if (part.data == nullptr || part.length >= part.data->size() / 2) return part;
  const Bytes rest = part.bytes();
  part.data = std::make_shared<const Buffer>(rest.begin(), rest.end());
  part.source_offset = 0;
  return part;
}

}  // namespace

uint64_t ExtentMap::Weight(const Extent& extent) {
  return kExtentOverhead + (extent.data != nullptr ? extent.length : 0);
}

void ExtentMap::Add(Extent extent) {
  bytes_ += Weight(extent);
  by_sequence_.emplace(extent.sequence, extent.offset);
  const uint64_t offset = extent.offset;
  extents_.emplace(offset, std::move(extent));
}

void ExtentMap::Cut(uint64_t begin, uint64_t end) {
  auto at = extents_.lower_bound(begin);
  if (at != extents_.begin() && std::prev(at)->second.end() > begin) --at;
  while (at != extents_.end() && at->second.offset < end) {
    bytes_ -= Weight(at->second);
    by_sequence_.erase({at->second.sequence, at->second.offset});
    const Extent old = std::move(at->second);
    at = extents_.erase(at);
    if (old.offset < begin) Add(Slim(Clipped(old, old.offset, begin)));
    if (old.end() > end) Add(Slim(Clipped(old, end, old.end())));
  }
}

void ExtentMap::Insert(Extent extent) {
  // A block that is written again and again takes its own place.
  const auto same = extents_.find(extent.offset);
  if (same != extents_.end() && same->second.length == extent.length) {
    bytes_ += Weight(extent) - Weight(same->second);
    auto node = by_sequence_.extract({same->second.sequence, extent.offset});
    node.value().first = extent.sequence;
    by_sequence_.insert(std::move(node));
    same->second = std::move(extent);
    return;
  }
  Cut(extent.offset, extent.end());
  Add(std::move(extent));
}

void ExtentMap::CutFrom(uint64_t offset) { Cut(offset, UINT64_MAX); }

void ExtentMap::DropUpTo(uint64_t sequence) {
  auto at = by_sequence_.begin();
  for (; at != by_sequence_.end() && at->first <= sequence; at = by_sequence_.erase(at)) {
    const auto extent = extents_.find(at->second);
    bytes_ -= Weight(extent->second);
    extents_.erase(extent);
  }
}

void ExtentMap::Clear() {
  extents_.clear();
  by_sequence_.clear();
  bytes_ = 0;
}

std::vector<Extent> ExtentMap::Overlapping(uint64_t begin, uint64_t end) const {
  std::vector<Extent> result;
  if (begin >= end) return result;
  auto at = extents_.lower_bound(begin);
  if (at != extents_.begin() && std::prev(at)->second.end() > begin) --at;
  for (; at != extents_.end() && at->second.offset < end; ++at) {
    result.push_back(Clipped(at->second, begin, end));
  }
  return result;
}

std::vector<Extent> ExtentMap::All() const {
  std::vector<Extent> result;
  result.reserve(extents_.size());
  for (const auto& [offset, extent] : extents_) result.push_back(extent);
  return result;
}

std::vector<Extent> ExtentMap::NewerThan(uint64_t sequence) const {
  std::vector<Extent> result;
  for (auto at = by_sequence_.upper_bound({sequence, UINT64_MAX}); at != by_sequence_.end(); ++at) {
    result.push_back(extents_.find(at->second)->second);
  }
  return result;
}

uint64_t ExtentMap::BytesAfter(uint64_t sequence, bool& clones) const {
  uint64_t bytes = 0;
  clones = false;
  for (auto at = by_sequence_.upper_bound({sequence, UINT64_MAX}); at != by_sequence_.end(); ++at) {
    const Extent& extent = extents_.find(at->second)->second;
    if (extent.clone != nullptr) clones = true;
    bytes += Weight(extent);
  }
  return bytes;
}

uint64_t ExtentMap::End() const {
  return extents_.empty() ? 0 : std::prev(extents_.end())->second.end();
}

}  // namespace dedupfs
