#include "tests/fs/model/model_file.h"

#include <algorithm>

namespace dedupfs {

void ModelBytes::Write(uint64_t offset, std::string_view data) {
  if (data.empty()) return;
  if (bytes_.size() < offset + data.size()) bytes_.resize(offset + data.size(), '\0');
  bytes_.replace(offset, data.size(), data);
}

void ModelBytes::Punch(uint64_t offset, uint64_t length) {
  const uint64_t end = std::min<uint64_t>(offset + length, bytes_.size());
  if (offset < end)
    std::fill(bytes_.begin() + static_cast<int64_t>(offset),
              bytes_.begin() + static_cast<int64_t>(end), '\0');
}

void ModelBytes::ZeroRange(uint64_t offset, uint64_t length, bool keep_size) {
  Punch(offset, length);
  Allocate(offset, length, keep_size);
}

void ModelBytes::Allocate(uint64_t offset, uint64_t length, bool keep_size) {
  if (!keep_size && bytes_.size() < offset + length) bytes_.resize(offset + length, '\0');
}

std::string_view ModelBytes::Read(uint64_t offset, uint64_t length) const {
  if (offset >= bytes_.size()) return {};
  return std::string_view(bytes_).substr(offset, length);
}

}  // namespace dedupfs
