#include "chunkstore/base/siphash.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "chunkstore/base/bytes.h"

namespace dedupfs {
namespace {

SipKey CountingKey() {
  SipKey key;
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  return key;
}

// The authors' reference output for the key 00 01 ... 0f and the message 00 01 ... (length - 1),
// length 15 being the worked example of the paper's appendix.
TEST(SipHashTest, GivesTheVectorsOfThePaper) {
  constexpr std::array<std::pair<size_t, uint64_t>, 10> kVectors{{
      {0, 0x726fdb47dd0e0e31},
      {1, 0x74f839c593dc67fd},
      {2, 0x0d6c8009d9a94f5a},
      {3, 0x85676696d7fb7e2d},
      {4, 0xcf2794e0277187b7},
      {5, 0x18765564cd99a68d},
      {6, 0xcbc9466e58fee3ce},
      {7, 0xab0200f58b01d137},
      {8, 0x93f5f5799a932462},
      {15, 0xa129ca6149be45e5},
  }};
  std::array<std::byte, 15> message;
  for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::byte>(i);
  for (const auto& [length, hash] : kVectors) {
    EXPECT_EQ(SipHash(CountingKey(), Bytes(message).first(length)), hash) << length;
  }
}

TEST(SipHashTest, AnotherKeyGivesAnotherHash) {
  SipKey other = CountingKey();
  other[15] ^= 1;
  EXPECT_NE(SipHash(other, AsBytes("name")), SipHash(CountingKey(), AsBytes("name")));
}

}  // namespace
}  // namespace dedupfs
