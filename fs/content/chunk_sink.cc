#include "fs/content/chunk_sink.h"

#include <algorithm>

namespace dedupfs {

Status ChunkSink::Add(Bytes data, const std::shared_ptr<const Buffer>& owner, uint64_t offset,
                      CodecHint* hint, RecipeEntries& entries, size_t index) {
  requests_.push_back({data, offset, hint});
  targets_.push_back({&entries, index});
  if (owners_.empty() || owners_.back() != owner) owners_.push_back(owner);
  bytes_ += data.size();
  if (bytes_ < kBatchBytes) return Ok();
  return Flush();
}

Status ChunkSink::Flush() {
  if (requests_.empty()) return Ok();
  auto stored = chunks_.Store(requests_, pins_);
  if (stored) {
    for (size_t i = 0; i < targets_.size(); ++i) (*targets_[i].entries)[targets_[i].index].id = (*stored)[i];
  }
  requests_.clear();
  targets_.clear();
  owners_.clear();
  bytes_ = 0;
  if (!stored) {
    failure_ = stored.error();
    return Fail(stored.error());
  }
  return Ok();
}

void ChunkSink::Forget(const std::vector<std::unique_ptr<RecipeEdit>>& edits) {
  size_t kept = 0;
  for (size_t i = 0; i < targets_.size(); ++i) {
    const bool gone = std::any_of(edits.begin(), edits.end(), [&](const auto& edit) {
      return &edit->entries == targets_[i].entries;
    });
    if (gone) {
      bytes_ -= requests_[i].data.size();
      continue;
    }
    requests_[kept] = requests_[i];
    targets_[kept] = targets_[i];
    ++kept;
  }
  requests_.resize(kept);
  targets_.resize(kept);
}

}  // namespace dedupfs
