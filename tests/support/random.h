// Random numbers for tests that a seed repeats.
//
// `Random random(TestSeed());` in a test takes DEDUPFS_TEST_SEED from the environment, or a fresh
// seed, and prints it: the printed value re-runs the test.
//
// Thread safety: one thread at a time for each Random.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

#include "chunkstore/base/seeded_random.h"

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

using Random = SeededRandom;

}  // namespace dedupfs
