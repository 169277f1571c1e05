// Fixed-size and variable-length integers in byte strings.
//
// Keys are big-endian so that they sort as numbers; values are little-endian. Varints are LEB128
// (as in DWARF and Protocol Buffers), signed ones zigzag.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"

namespace dedupfs {

void PutU8(std::string& out, uint8_t value);
void PutU16(std::string& out, uint16_t value);
void PutU32(std::string& out, uint32_t value);
void PutU64(std::string& out, uint64_t value);
void PutBigU64(std::string& out, uint64_t value);
void PutVarint(std::string& out, uint64_t value);
void PutZigzag(std::string& out, int64_t value);
// A varint length, then the bytes.
void PutString(std::string& out, std::string_view value);

std::string BigU64(uint64_t value);
uint64_t ParseBigU64(std::string_view eight_bytes);  // requires size() >= 8

// Takes values off the front of untrusted bytes. After the first value that is not there whole,
// ok() is false for good and everything reads as zero or empty.
class Decoder {
 public:
  explicit Decoder(std::string_view data) : data_(data) {}
  uint8_t U8();
  uint16_t U16();
  uint32_t U32();
  uint64_t U64();
  uint64_t BigU64();
  uint64_t Varint();
  int64_t Zigzag();
  std::string_view String();
  std::string_view Take(size_t size);

  bool ok() const { return ok_; }
  // Everything was taken and nothing was missing.
  bool AtEnd() const { return ok_ && data_.empty(); }
  size_t remaining() const { return data_.size(); }

 private:
  std::string_view data_;
  bool ok_ = true;
};

}  // namespace dedupfs
