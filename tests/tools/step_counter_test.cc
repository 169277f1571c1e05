#include "tools/dedupfs/selftest/step_counter.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

namespace dedupfs {
namespace {

TEST(StepCounterTest, WaitsUntilTheStepsWereBegun) {
  constexpr int kWriters = 3;
  constexpr uint64_t kSteps = 100;
  StepCounter steps(kWriters);
  std::vector<std::thread> writers;
  writers.reserve(kWriters);
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&steps] {
      while (steps.Step()) std::this_thread::yield();
      steps.WriterEnded();
    });
  }
  EXPECT_TRUE(steps.WaitFor(kSteps));
  EXPECT_GE(steps.steps(), kSteps);
  steps.BeginCut();
  EXPECT_TRUE(steps.cut_has_begun());
  EXPECT_TRUE(steps.WaitForEnd());
  EXPECT_FALSE(steps.Step());
  for (std::thread& writer : writers) writer.join();
}

TEST(StepCounterTest, DoesNotWaitForStepsThatNoWriterIsLeftToBegin) {
  StepCounter steps(1);
  EXPECT_TRUE(steps.Step());
  steps.WriterEnded();
  EXPECT_TRUE(steps.WaitFor(1000));
  EXPECT_EQ(steps.steps(), 1U);
}

}  // namespace
}  // namespace dedupfs
