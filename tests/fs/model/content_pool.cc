#include "tests/fs/model/content_pool.h"

#include <algorithm>

namespace dedupfs {
namespace {

constexpr size_t kBlocks = 8;
constexpr size_t kBlockBytes = 128 << 10;
constexpr size_t kPage = 4096;

std::string Text(size_t size, uint64_t number) {
  const std::string line = "line " + std::to_string(number) + " of a file that says little\n";
  std::string text;
  text.reserve(size + line.size());
  while (text.size() < size) text += line;
  text.resize(size);
  return text;
}

}  // namespace

ContentPool::ContentPool(Random& random) {
  blocks_.reserve(kBlocks);
  for (size_t i = 0; i < kBlocks; ++i) blocks_.push_back(random.Bytes(kBlockBytes));
}

std::string ContentPool::Make(Random& random, size_t size) const {
  std::string out;
  out.reserve(size);
  while (out.size() < size) {
    const size_t left = size - out.size();
    const size_t piece = std::min<size_t>(left, random.Between(1, 96 << 10));
    switch (random.Below(5)) {
      case 0:
        out.append(piece, '\0');
        break;
      case 1:
        out += Text(piece, random.Below(3));
        break;
      case 2:
      case 3: {
        const std::string& block = blocks_[random.Below(blocks_.size())];
        const size_t from = random.OneIn(2) ? 0 : random.Below(kBlockBytes / kPage) * kPage;
        out.append(block, from, piece);
        break;
      }
      default:
        out += random.Bytes(piece);
    }
  }
  return out;
}

}  // namespace dedupfs
