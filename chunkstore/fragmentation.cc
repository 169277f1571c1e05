#include "chunkstore/fragmentation.h"

#include <algorithm>
#include <map>
#include <set>

namespace dedupfs {
namespace {

struct PackShare {
  uint64_t bytes = 0;
  bool movable = true;
  std::set<size_t> items;
};

void RewriteSegment(std::span<const PlacedChunk> segment,
                    const std::function<bool(uint64_t)>& spend, std::set<size_t>& taken) {
  std::map<PackId, PackShare> shares;
  for (const PlacedChunk& chunk : segment) {
    if (taken.count(chunk.item) > 0) continue;
    PackShare& share = shares[chunk.pack];
    share.movable = share.movable && chunk.movable;
    if (share.items.insert(chunk.item).second) share.bytes += chunk.bytes;
  }
  if (shares.size() <= kPacksPerSegment) return;
  std::vector<const PackShare*> sparsest_first;
  sparsest_first.reserve(shares.size());
  for (const auto& [pack, share] : shares) sparsest_first.push_back(&share);
  std::stable_sort(sparsest_first.begin(), sparsest_first.end(),
                   [](const PackShare* a, const PackShare* b) { return a->bytes < b->bytes; });
  size_t excess = shares.size() - kPacksPerSegment;
  for (const PackShare* share : sparsest_first) {
    if (excess == 0) return;
    if (!share->movable) continue;
    if (!spend(share->bytes)) return;
    taken.insert(share->items.begin(), share->items.end());
    --excess;
  }
}

}  // namespace

std::vector<size_t> ItemsToRewrite(std::span<const PlacedChunk> chunks,
                                   const std::function<bool(uint64_t)>& spend) {
  std::set<size_t> taken;
  size_t start = 0;
  for (size_t i = 1; i <= chunks.size(); ++i) {
    // A smaller offset begins another file.
    const bool same =
        i < chunks.size() && chunks[i].logical_offset >= chunks[i - 1].logical_offset &&
        chunks[i].logical_offset / kSegmentBytes == chunks[start].logical_offset / kSegmentBytes;
    if (same) continue;
    RewriteSegment(chunks.subspan(start, i - start), spend, taken);
    start = i;
  }
  return {taken.begin(), taken.end()};
}

}  // namespace dedupfs
