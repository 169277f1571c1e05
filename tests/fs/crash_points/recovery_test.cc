// Crashes of the mount that follows a crash, also several in a row: nothing that was promised
// before the first is lost by a later one.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/fs/crash_points/recorded_store.h"
#include "tests/support/point_stride.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  // What a mount has to do after a crash: a log to replay, rows to chunk, files to purge, records
  // that no row names.
  void MakeWork() {
    ASSERT_TRUE(store_.Format());
    ASSERT_TRUE(store_.Open());
    History& h = store_.history();
    ASSERT_TRUE(h.MakeFile("large"));
    ASSERT_TRUE(h.Write("large", 0, random_.Bytes(300'000)));
    ASSERT_TRUE(h.MakeFile("gone"));
    ASSERT_TRUE(h.Write("gone", 0, random_.Bytes(200'000)));
    ASSERT_TRUE(h.SyncAll());
    from_ = store_.disk().Now();
    ASSERT_TRUE(h.MakeFile("small"));
    ASSERT_TRUE(h.Write("small", 0, random_.Bytes(3000)));
    ASSERT_TRUE(h.Fsync("small"));
    ASSERT_TRUE(h.Unlink("gone"));
    ASSERT_TRUE(h.FsyncDirectory(""));
    ASSERT_TRUE(h.Write("large", 50'000, random_.Bytes(5000)));
    ASSERT_TRUE(h.Fsync("large"));
    ASSERT_TRUE(h.MakeFile("never synced"));
    ASSERT_TRUE(h.Write("never synced", 0, random_.Bytes(100'000)));
    ASSERT_TRUE(h.Rename("small", "renamed"));
    to_ = store_.disk().Now();
    ASSERT_TRUE(store_.Close());
  }

  const uint64_t seed_ = TestSeed();
  Random random_{seed_};
  RecordedStore store_;
  uint64_t from_ = 0;
  uint64_t to_ = 0;
};

TEST_F(RecoveryTest, ACrashAtEveryCallOfTheMountAfterACrashLosesNothing) {
  MakeWork();
  ASSERT_FALSE(HasFatalFailure());
  EXPECT_GT(store_.TryEveryCrashOfRecovery(to_, Loss::kUnsynced, PointStride(), seed_), 0u);
  ASSERT_FALSE(HasFailure());
  EXPECT_GT(store_.TryEveryCrashOfRecovery(to_, Loss::kTorn, 5 * PointStride(), seed_), 0u);
}

TEST_F(RecoveryTest, CrashesInARowLoseNothing) {
  MakeWork();
  ASSERT_FALSE(HasFatalFailure());
  const int rounds = PointStride() == 1 ? 8 : 2;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    store_.TryCrashesInARow(random_.Between(from_, to_), 3, random_.Next());
  }
}

}  // namespace
}  // namespace dedupfs
