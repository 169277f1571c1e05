#include "tools/dedupfs/scrub_progress.h"

#include <gtest/gtest.h>

#include <chrono>

namespace dedupfs {
namespace {

using std::chrono::seconds;

TEST(ScrubProgressTest, TheBarIsAsLongAsTheShareThatIsDone) {
  EXPECT_EQ(ScrubBar({512, 1024, 90, ""}, 100),
            " 50 % [==========          ] 512 bytes of 1.0 KiB, 1 min left");
  EXPECT_EQ(ScrubBar({0, 1024, {}, "2 damaged"}, 100),
            "  0 % [                    ] 0 bytes of 1.0 KiB, 2 damaged");
  EXPECT_EQ(ScrubBar({2048, 1024, {}, ""}, 100), "100 % [====================] 2.0 KiB of 1.0 KiB");
}

TEST(ScrubProgressTest, TheBarIsCutAtTheWidthOfTheTerminal) {
  EXPECT_EQ(ScrubBar({1, 4, {}, ""}, 10), " 25 % [===");
}

TEST(ScrubProgressTest, ALineTellsPercentNumbersAndTimeLeft) {
  EXPECT_EQ(ScrubLine({256, 1024, 7200, "1 damaged"}),
            "25 %, 256 bytes of 1.0 KiB, 1 damaged, 2 h left");
  EXPECT_EQ(ScrubLine({0, 0, {}, ""}), "0 %, 0 bytes of 0 bytes");
}

TEST(ScrubProgressTest, ALineIsDueAtTheStartWithEachFivePercentAndEachMinute) {
  ScrubLines lines;
  const ScrubLines::Clock::time_point start{};
  const auto at = [](uint64_t percent) { return ScrubState{percent, 100, {}, ""}; };
  EXPECT_TRUE(lines.IsDue(at(0), start));
  EXPECT_FALSE(lines.IsDue(at(4), start + seconds(1)));
  EXPECT_TRUE(lines.IsDue(at(5), start + seconds(2)));
  EXPECT_FALSE(lines.IsDue(at(6), start + seconds(61)));
  EXPECT_TRUE(lines.IsDue(at(6), start + seconds(62)));
}

}  // namespace
}  // namespace dedupfs
