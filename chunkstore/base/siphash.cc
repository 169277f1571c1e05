#include "chunkstore/base/siphash.h"

#include <bit>
#include <cstddef>
#include <cstdint>

namespace dedupfs {
namespace {

uint64_t LoadLittle(const uint8_t* bytes, size_t size) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value |= uint64_t{bytes[i]} << (8 * i);
  return value;
}

struct SipState {
  uint64_t v0, v1, v2, v3;

  void Round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void Absorb(uint64_t word) {
    v3 ^= word;
    Round();
    Round();
    v0 ^= word;
  }
};

}  // namespace

uint64_t SipHash(const SipKey& key, Bytes data) {
  const uint64_t k0 = LoadLittle(key.data(), 8);
  const uint64_t k1 = LoadLittle(key.data() + 8, 8);
  // "somepseudorandomlygeneratedbytes", the constants of the paper.
  SipState state{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                 k1 ^ 0x7465646279746573};
  const uint8_t* bytes = AsU8(data);
  const size_t whole = data.size() / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) state.Absorb(LoadLittle(bytes + at, 8));
  state.Absorb(LoadLittle(bytes + whole, data.size() - whole) | (uint64_t{data.size()} << 56));
  state.v2 ^= 0xFF;
  for (int i = 0; i < 4; ++i) state.Round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace dedupfs
