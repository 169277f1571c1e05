// Random numbers for tests that a seed repeats.
//
// `Random random(TestSeed());` in a test takes DEDUPFS_TEST_SEED from the environment, or a fresh
// seed, and prints it: the printed value re-runs the test.
//
// Thread safety: one thread at a time for each Random.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace dedupfs {

inline uint64_t TestSeed() {
  const char* const given = std::getenv("DEDUPFS_TEST_SEED");
  uint64_t seed = 0;
  if (given != nullptr && *given != '\0') {
    seed = std::strtoull(given, nullptr, 10);
  } else {
    std::random_device device;
    seed = (uint64_t{device()} << 32) | device();
  }
  std::cerr << "DEDUPFS_TEST_SEED=" << seed << '\n';
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Next() { return engine_(); }
  // Below `bound`, which is not 0. (Not std::uniform_int_distribution: its numbers differ between
  // standard libraries, and a seed must repeat everywhere.)
  uint64_t Below(uint64_t bound) { return engine_() % bound; }
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  // Incompressible bytes.
  std::string Bytes(size_t size) {
    std::string out(size, '\0');
    uint64_t word = 0;
    for (size_t i = 0; i < size; ++i) {
      if (i % 8 == 0) word = engine_();
      out[i] = static_cast<char>(static_cast<uint8_t>(word >> (8 * (i % 8))));
    }
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace dedupfs
