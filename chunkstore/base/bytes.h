// Views of raw bytes, and conversions between the types that libraries want.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dedupfs {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;
using Buffer = std::vector<std::byte>;

inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline const uint8_t* AsU8(Bytes bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }
inline uint8_t* AsU8(MutableBytes bytes) { return reinterpret_cast<uint8_t*>(bytes.data()); }

}  // namespace dedupfs
