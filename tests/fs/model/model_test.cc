// Thousands of random operations, compared with a plain model in memory.
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "tests/fs/model/model_driver.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

class ModelTest : public ::testing::TestWithParam<int> {
 protected:
  // Each parameter is another walk of the one seed that is printed.
  ModelTest() : random_(TestSeed() + static_cast<uint64_t>(GetParam())) {}
  Random random_;
};

// Reopening keeps no handle, and Settle waits for all: both must come between long stretches of
// plain operations, so that background flushes meet every kind of them.
void Walk(ModelDriver& driver, Random& random, int operations) {
  for (int i = 0; i < operations; ++i) {
    driver.Step();
    if (random.OneIn(700)) driver.Reopen(random.OneIn(2));
    if (random.OneIn(500)) driver.VerifyAll();
    if (random.OneIn(900)) driver.VerifySettled();
    if (::testing::Test::HasFailure()) {
      FAIL() << "operation " << i << ": " << driver.last_operation();
    }
  }
}

TEST_P(ModelTest, EveryAnswerIsThatOfThePlainModel) {
  TestStore store;
  const FileSystemStats empty = store.SettledStats();
  ModelDriver driver(store, random_);
  constexpr int kOperations = 3000;
  ASSERT_NO_FATAL_FAILURE(Walk(driver, random_, kOperations));
  driver.VerifyAll();
  driver.VerifySettled();
  driver.CheckAndReopen();
  driver.VerifyAll();
  ASSERT_FALSE(HasFailure());
  driver.DeleteAll();
  ExpectEmptyStore(store.SettledStats(), empty.inodes);
  store.ExpectCleanCheck();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range(0, 4));

}  // namespace
}  // namespace dedupfs
