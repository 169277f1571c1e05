#include "tests/chunking/random_data.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>

namespace dedupfs {

uint64_t TestSeed() {
  const char* const given = std::getenv("DEDUPFS_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  std::cout << "DEDUPFS_TEST_SEED=" << seed << '\n';
  testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

Buffer RandomBytes(std::mt19937_64& random, size_t size) {
  Buffer bytes(size);
  uint64_t word = 0;
  for (size_t i = 0; i < size; ++i) {
    if (i % 8 == 0) word = random();
    bytes[i] = static_cast<std::byte>(word >> (8 * (i % 8)));
  }
  return bytes;
}

size_t RandomUpTo(std::mt19937_64& random, size_t most) {
  return std::uniform_int_distribution<size_t>(0, most)(random);
}

}  // namespace dedupfs
