#include "chunkstore/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "chunkstore/base/event_limiter.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() { EXPECT_TRUE(SetLogFile(path_)); }
  ~LogTest() override {
    EXPECT_TRUE(SetLogFile(""));
    EXPECT_TRUE(SetLogLevel("info"));
  }

  std::vector<std::string> Lines() const {
    std::ifstream file(path_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  TempDir directory_;
  const std::string path_ = directory_.Join("log");
};

TEST_F(LogTest, ALineHasTimeLevelEventAndDetails) {
  LogWarn("pack_sealed", "id=42 bytes=7");
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_THAT(Lines()[0],
              testing::ContainsRegex("^[0-9-]+T[0-9:.]+ warning pack_sealed id=42 bytes=7$"));
}

TEST_F(LogTest, LinesUnderTheLevelAreDropped) {
  ASSERT_TRUE(SetLogLevel("warn"));
  LogInfo("level_info");
  LogError("level_error");
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_THAT(Lines()[0], testing::EndsWith("level_error"));
}

TEST_F(LogTest, AnUnknownLevelIsRefused) {
  EXPECT_FALSE(SetLogLevel("loud"));
  EXPECT_FALSE(SetLogLevel(""));
}

TEST_F(LogTest, AFileThatCannotBeOpenedLeavesTheLogAsItWas) {
  EXPECT_FALSE(SetLogFile(directory_.path()));
  LogInfo("still_here");
  EXPECT_EQ(Lines().size(), 1U);
}

TEST_F(LogTest, ControlBytesCannotForgeALine) {
  LogInfo("name", "path=a\n2020 error forged\x1b[2J");
  ASSERT_EQ(Lines().size(), 1U);
  EXPECT_THAT(Lines()[0], testing::HasSubstr("a\\x0a2020 error forged\\x1b[2J"));
}

TEST(EventLimiterTest, TheEleventhInTenSecondsIsHeldBackAndCounted) {
  EventLimiter limiter;
  const EventLimiter::Time start{};
  for (uint64_t i = 0; i < EventLimiter::kPerWindow; ++i) {
    EXPECT_TRUE(limiter.Admit("event", start).show) << i;
  }
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(limiter.Admit("event", start).show);
  EXPECT_TRUE(limiter.Admit("other", start).show);

  const auto just_before = start + EventLimiter::kWindow - std::chrono::milliseconds(1);
  EXPECT_FALSE(limiter.Admit("event", just_before).show);
  const auto next = limiter.Admit("event", start + EventLimiter::kWindow);
  EXPECT_TRUE(next.show);
  EXPECT_EQ(next.held_back, 6U);
  EXPECT_EQ(limiter.Admit("other", start + EventLimiter::kWindow).held_back, 0U);
}

TEST(EventLimiterTest, NewEventsAreShownHoweverManyThereWere) {
  EventLimiter limiter;
  for (uint64_t i = 0; i < 3 * EventLimiter::kMaxEvents; ++i) {
    EXPECT_TRUE(limiter.Admit("event" + std::to_string(i), {}).show);
  }
}

}  // namespace
}  // namespace dedupfs
