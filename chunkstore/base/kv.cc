#include "chunkstore/base/kv.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dedupfs {

Batch::Batch() = default;
Batch::~Batch() = default;
Batch::Batch(Batch&&) noexcept = default;
Batch& Batch::operator=(Batch&&) noexcept = default;

void Batch::Put(Family family, std::string_view key, std::string_view value) {
  const auto key_offset = static_cast<uint32_t>(data_.size());
  data_.append(key);
  const auto value_offset = static_cast<uint32_t>(data_.size());
  data_.append(value);
  changes_.push_back({family, false, key_offset, static_cast<uint32_t>(key.size()), value_offset,
                      static_cast<uint32_t>(value.size())});
}

void Batch::Delete(Family family, std::string_view key) {
  const auto key_offset = static_cast<uint32_t>(data_.size());
  data_.append(key);
  changes_.push_back({family, true, key_offset, static_cast<uint32_t>(key.size()), key_offset, 0});
}

void Batch::Append(const Batch& other) {
  const auto shift = static_cast<uint32_t>(data_.size());
  const size_t count = other.changes_.size();  // `other` may be this very batch
  data_.append(other.data_);
  changes_.reserve(changes_.size() + count);
  for (size_t i = 0; i < count; ++i) {
    Change change = other.changes_[i];
    change.key_offset += shift;
    change.value_offset += shift;
    changes_.push_back(change);
  }
}

bool Batch::empty() const { return changes_.empty(); }
size_t Batch::count() const { return changes_.size(); }
size_t Batch::size_bytes() const { return data_.size(); }

size_t Kv::ChangeCount(const Batch& batch) { return batch.changes_.size(); }

Kv::ChangeView Kv::ChangeAt(const Batch& batch, size_t index) {
  const Batch::Change& change = batch.changes_[index];
  const std::string_view data = batch.data_;
  return {change.family, change.is_delete, data.substr(change.key_offset, change.key_size),
          data.substr(change.value_offset, change.value_size)};
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xFF) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

}  // namespace dedupfs
