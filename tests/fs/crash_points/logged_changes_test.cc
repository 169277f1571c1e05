// A file that holds as many logged changes as it may, and the fsync that would add more: it chunks
// all of them.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/fs/crash_points/recorded_store.h"
#include "tests/support/point_stride.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr uint64_t kPiece = 60'000;  // small enough for the log
constexpr uint64_t kPieces = 3;
constexpr uint64_t kBound = uint64_t{16} << 20;

TEST(LoggedChangesTest, ACrashAroundTheFsyncThatChunksThemAllLosesNothingAcknowledged) {
  const uint64_t seed = TestSeed();
  Random random(seed);
  RecordedStore store;
  ASSERT_TRUE(store.Format());
  ASSERT_TRUE(store.Open());
  History& history = store.history();
  ASSERT_TRUE(history.MakeFile("file"));
  ASSERT_TRUE(history.Write("file", 0, random.Bytes(kPieces * kPiece)));
  ASSERT_TRUE(history.SyncAll());
  const auto dead_chunks = [&store] { return store.fs().Stats().value().store.dead_chunks; };
  ASSERT_EQ(dead_chunks(), 0u);

  // What is chunked replaces chunks; what is logged does not.
  uint64_t logged = 0;
  uint64_t before = 0;
  while (dead_chunks() == 0) {
    ASSERT_LT(logged, kBound) << "it was never chunked";
    ASSERT_TRUE(history.Write("file", random.Below(kPieces) * kPiece, random.Bytes(kPiece)));
    before = store.disk().Now();
    ASSERT_TRUE(history.Fsync("file"));
    logged += kPiece;
  }
  EXPECT_GT(logged, kBound - 3 * kPiece) << "it was chunked before the log held so much";
  const uint64_t after = store.disk().Now();
  ASSERT_GT(after, before + 1);
  ASSERT_TRUE(store.Close());

  std::vector<uint64_t> instants = {before, before + 1 + seed % (after - before - 1), after};
  if (PointStride() > 1) instants = {instants[seed % instants.size()]};
  for (const uint64_t instant : instants) {
    EXPECT_EQ(store.TryEveryCrash(instant, UINT64_MAX, 1, seed).instants, 1u);
  }
}

}  // namespace
}  // namespace dedupfs
