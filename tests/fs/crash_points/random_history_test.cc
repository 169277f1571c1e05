// Crashes at instants of a random history.
#include "tests/fs/crash_points/random_history.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/support/point_stride.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

TEST(RandomHistoryTest, CrashesKeepEveryPromise) {
  constexpr int kSteps = 150;
  const uint64_t points = PointStride() == 1 ? 100 : 10;
  ASSERT_NO_FATAL_FAILURE(TryRandomHistory(TestSeed(), kSteps, points));
}

}  // namespace
}  // namespace dedupfs
