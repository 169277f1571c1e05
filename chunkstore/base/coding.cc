#include "chunkstore/base/coding.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dedupfs {
namespace {

template <typename T>
void PutLittle(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<uint8_t>(uint64_t{value} >> (8 * i))));
  }
}

template <typename T>
T GetLittle(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return static_cast<T>(value);
}

constexpr int kMaxVarintShift = 63;

}  // namespace

void PutU8(std::string& out, uint8_t value) { PutLittle(out, value); }
void PutU16(std::string& out, uint16_t value) { PutLittle(out, value); }
void PutU32(std::string& out, uint32_t value) { PutLittle(out, value); }
void PutU64(std::string& out, uint64_t value) { PutLittle(out, value); }

void PutBigU64(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(static_cast<uint8_t>(value >> shift)));
  }
}

void PutVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(static_cast<uint8_t>(value | 0x80)));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void PutZigzag(std::string& out, int64_t value) {
  PutVarint(out, (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63));
}

void PutString(std::string& out, std::string_view value) {
  PutVarint(out, value.size());
  out.append(value);
}

std::string BigU64(uint64_t value) {
  std::string out;
  PutBigU64(out, value);
  return out;
}

uint64_t ParseBigU64(std::string_view eight_bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = (value << 8) | static_cast<uint8_t>(eight_bytes[i]);
  return value;
}

std::string_view Decoder::Take(size_t size) {
  if (!ok_ || size > data_.size()) {
    ok_ = false;
    return {};
  }
  const std::string_view taken = data_.substr(0, size);
  data_.remove_prefix(size);
  return taken;
}

uint8_t Decoder::U8() { return GetLittle<uint8_t>(Take(1)); }
uint16_t Decoder::U16() { return GetLittle<uint16_t>(Take(2)); }
uint32_t Decoder::U32() { return GetLittle<uint32_t>(Take(4)); }
uint64_t Decoder::U64() { return GetLittle<uint64_t>(Take(8)); }

uint64_t Decoder::BigU64() {
  const std::string_view bytes = Take(8);
  return bytes.empty() ? 0 : ParseBigU64(bytes);
}

uint64_t Decoder::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift <= kMaxVarintShift; shift += 7) {
    const uint8_t byte = U8();
    if (!ok_) return 0;
    // The tenth byte has room for one bit; more would be lost without a word.
    if (shift == kMaxVarintShift && byte > 1) break;
    value |= uint64_t{byte & 0x7Fu} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  ok_ = false;
  return 0;
}

int64_t Decoder::Zigzag() {
  const uint64_t raw = Varint();
  return static_cast<int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
}

std::string_view Decoder::String() {
  const uint64_t size = Varint();
  return Take(size);
}

}  // namespace dedupfs
