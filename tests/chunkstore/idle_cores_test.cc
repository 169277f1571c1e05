#include "chunkstore/base/idle_cores.h"

#include <gtest/gtest.h>

namespace dedupfs {
namespace {

TEST(IdleCoresTest, TheFirstLineOfProcStatIsRead) {
  const auto times =
      ParseCpuTimes("cpu  10 20 30 400 50 6 7 8 900 900\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
  ASSERT_TRUE(times);
  EXPECT_EQ(times->idle, 450u);
  EXPECT_EQ(times->total, 531u);
}

TEST(IdleCoresTest, AnythingElseIsNoAnswer) {
  for (const char* text : {"", "cpu", "cpu ", "cpu  1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 x 4",
                           "cpu  1 2 3\n4 5 6 7 8", "cpu  99999999999999999999999 2 3 4 5 6 7 8"}) {
    EXPECT_FALSE(ParseCpuTimes(text)) << text;
  }
}

TEST(IdleCoresTest, TheShareIsOfTheTimeBetweenTheReadings) {
  EXPECT_DOUBLE_EQ(IdleShareBetween({100, 1000}, {150, 1200}), 0.25);
  EXPECT_DOUBLE_EQ(IdleShareBetween({100, 1000}, {300, 1200}), 1.0);
  EXPECT_DOUBLE_EQ(IdleShareBetween({100, 1000}, {100, 1200}), 0.0);
  EXPECT_DOUBLE_EQ(IdleShareBetween({100, 1000}, {100, 1000}), 0.0);
  EXPECT_DOUBLE_EQ(IdleShareBetween({100, 1000}, {90, 900}), 0.0) << "times stepped back";
}

TEST(IdleCoresTest, TheFirstAnswerIsBusyAndEachIsAShare) {
  IdleCores cores;
  EXPECT_DOUBLE_EQ(cores.ShareSinceLastAsked(), 0.0);
  const double share = cores.ShareSinceLastAsked();
  EXPECT_GE(share, 0.0);
  EXPECT_LE(share, 1.0);
}

}  // namespace
}  // namespace dedupfs
