// Crashes at instants of many long random histories.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "tests/fs/crash_points/random_history.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

// DEDUPFS_SOAK_HISTORIES says how many; each prints the seed that repeats it as the first.
TEST(RandomHistorySoak, ManyHistories) {
  const char* const given = std::getenv("DEDUPFS_SOAK_HISTORIES");
  const uint64_t histories = given == nullptr ? 20 : std::strtoull(given, nullptr, 10);
  const uint64_t seed = TestSeed();
  for (uint64_t i = 0; i < histories && !::testing::Test::HasFailure(); ++i) {
    std::cerr << "DEDUPFS_TEST_SEED=" << seed + i << '\n';
    ASSERT_NO_FATAL_FAILURE(TryRandomHistory(seed + i, 400, 150));
  }
}

}  // namespace
}  // namespace dedupfs
