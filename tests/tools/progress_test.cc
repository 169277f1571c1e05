#include "tools/dedupfs/progress.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace dedupfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ProgressTest : public testing::Test {
 protected:
  ProgressOutput Output(bool is_terminal) {
    return {is_terminal, columns_, [this](const std::string& text) { written_.push_back(text); },
            [this] { return now_; }};
  }
  std::chrono::steady_clock::time_point now_{};
  std::vector<std::string> written_;
  size_t columns_ = 200;
};

TEST_F(ProgressTest, ALineComesEveryTenSecondsWithTheTimeLeft) {
  Progress progress("export", ProgressUnit::kBytes, Output(false));
  progress.Show(1 << 20, 4 << 20);
  now_ += milliseconds(9999);
  progress.Show(1 << 20, 4 << 20);
  EXPECT_TRUE(written_.empty());
  now_ += milliseconds(1);
  progress.Show(1 << 20, 4 << 20);
  progress.Show(2 << 20, 4 << 20);
  ASSERT_EQ(written_.size(), 1U);
  EXPECT_EQ(written_[0], "export: 25 %, 1.0 MiB of 4.0 MiB, about 30 s left\n");
}

TEST_F(ProgressTest, ShortWorkSaysNothingWhereThereIsNoTerminal) {
  {
    Progress progress("check", ProgressUnit::kItems, Output(false));
    progress.Show(0, 5);
    now_ += milliseconds(9999);
    progress.Show(5, 5);
  }
  EXPECT_TRUE(written_.empty()) << written_[0];
}

TEST_F(ProgressTest, ABarIsDrawnOverTheOneBeforeAndTakenAway) {
  {
    Progress progress("rows", ProgressUnit::kItems, Output(true));
    now_ += seconds(20);
    progress.Show(10, 100);
    now_ += seconds(20);
    progress.Show(90, 100);
  }
  ASSERT_EQ(written_.size(), 3U);
  EXPECT_EQ(written_[0], "\r\x1b[Krows: [" + std::string(3, '#') + std::string(27, ' ') +
                             "] 10 %, 10 of 100, about 3 min left");
  EXPECT_NE(written_[1].find("about 4 s left"), std::string::npos) << written_[1];
  EXPECT_EQ(written_[2], "\r\x1b[K");
}

TEST_F(ProgressTest, ATerminalSeesTheBeginningAtOnceAndThenTenStatesASecond) {
  Progress progress("rows", ProgressUnit::kItems, Output(true));
  progress.Show(0, 100);
  progress.Show(1, 100);
  EXPECT_EQ(written_.size(), 1U);
  now_ += milliseconds(100);
  progress.Show(2, 100);
  EXPECT_EQ(written_.size(), 2U);
}

TEST_F(ProgressTest, ABarIsCutAtTheWidthOfTheTerminal) {
  columns_ = 16;
  Progress progress("rows", ProgressUnit::kItems, Output(true));
  progress.Show(50, 100);
  ASSERT_EQ(written_.size(), 1U);
  EXPECT_EQ(written_[0], "\r\x1b[Krows: [########");
}

TEST_F(ProgressTest, AStateThatIsShownNowHasItsLineWhenever) {
  Progress progress("scrub", ProgressUnit::kItems, Output(false));
  progress.ShowNow({.done = 5, .total = 5, .knows_time_left = true, .note = "1 damaged"});
  EXPECT_EQ(written_, std::vector<std::string>{"scrub: 100 %, 5 of 5, 1 damaged\n"});
}

TEST_F(ProgressTest, AnEstimateThatIsGivenIsShownInsteadOfOurOwn) {
  Progress progress("scrub", ProgressUnit::kItems, Output(true));
  now_ += seconds(10);
  progress.Show({.done = 1, .total = 4, .knows_time_left = true, .time_left = seconds(7200)});
  now_ += seconds(10);
  progress.Show({.done = 2, .total = 4, .knows_time_left = true});
  ASSERT_EQ(written_.size(), 2U);
  EXPECT_NE(written_[0].find("1 of 4, about 2 h left"), std::string::npos) << written_[0];
  EXPECT_EQ(written_[1].find("left"), std::string::npos) << written_[1];
}

TEST_F(ProgressTest, WithoutATotalNothingIsEstimated) {
  Progress progress("export", ProgressUnit::kBytes, Output(false));
  now_ += seconds(10);
  progress.Show(1024, 0);
  ASSERT_EQ(written_.size(), 1U);
  EXPECT_EQ(written_[0], "export: 1.0 KiB\n");
}

TEST_F(ProgressTest, MoreThanTheTotalIsAll) {
  Progress progress("export", ProgressUnit::kItems, Output(false));
  now_ += seconds(10);
  progress.Show(7, 5);
  ASSERT_EQ(written_.size(), 1U);
  EXPECT_EQ(written_[0], "export: 100 %, 5 of 5, about 0 s left\n");
}

TEST(TimeLeftTest, IsWhatTheRestTakesAtTheSameSpeed) {
  EXPECT_EQ(TimeLeft(1, 3, milliseconds(10'000)), seconds(20));
  EXPECT_EQ(TimeLeft(0, 3, milliseconds(10'000)), std::nullopt);
  EXPECT_EQ(TimeLeft(1, 3, milliseconds(10)), std::nullopt) << "too soon to tell";
  EXPECT_EQ(TimeLeft(UINT64_MAX / 2, UINT64_MAX, milliseconds(5000)), seconds(5));
}

}  // namespace
}  // namespace dedupfs
