#include "chunkstore/scrub_rows.h"

#include <gtest/gtest.h>

#include <chrono>

#include "chunkstore/scrub_pace.h"

namespace dedupfs {
namespace {

using std::chrono::seconds;

ScrubRecord SomeRecord() {
  ScrubRecord record;
  record.under_way = true;
  record.started_s = 1;
  record.packs_total = 20;
  record.bytes_total = 3;
  record.packs_done = 4;
  record.bytes_done = 5;
  record.chunks = 6;
  record.damaged = 7;
  record.last = {8, 9, 10, 11, 12, 13};
  return record;
}

TEST(ScrubRowsTest, ARecordComesBackAsItWas) {
  const std::string bytes = EncodeScrubRecord(SomeRecord());
  EXPECT_EQ(bytes.size(), kScrubRecordSize);
  const auto parsed = ParseScrubRecord(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, SomeRecord());
}

TEST(ScrubRowsTest, ARecordOfAnotherLengthVersionOrFlagIsRefused) {
  const std::string bytes = EncodeScrubRecord(SomeRecord());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(ParseScrubRecord(bytes.substr(0, size)));
  EXPECT_FALSE(ParseScrubRecord(bytes + "x"));
  EXPECT_FALSE(ParseScrubRecord("\2" + bytes.substr(1)));
  EXPECT_FALSE(ParseScrubRecord(bytes.substr(0, 1) + "\2" + bytes.substr(2)));
  ScrubRecord beyond = SomeRecord();
  beyond.packs_done = beyond.packs_total + 1;
  EXPECT_FALSE(ParseScrubRecord(EncodeScrubRecord(beyond)));
}

TEST(ScrubRowsTest, APageOfPacksComesBackAsItWasAndNothingElseDoes) {
  const std::vector<ScrubPlanEntry> entries{{1, 100}, {7, 0}, {3, UINT64_MAX}};
  const std::string bytes = EncodeScrubPlanPage(entries);
  const auto parsed = ParseScrubPlanPage(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, entries);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = ParseScrubPlanPage(bytes.substr(0, size));
    EXPECT_EQ(cut.has_value(), size > 1 && size % 16 == 1) << size;
  }
  EXPECT_FALSE(ParseScrubPlanPage("\2" + bytes.substr(1)));
}

TEST(ScrubPaceTest, WithoutARateMoreIsAlwaysDue) {
  ScrubPace pace;
  const ScrubPace::Clock::time_point start{};
  pace.Set(0, start);
  pace.Add(1ull << 40, start);
  EXPECT_LE(pace.Due(), start);
}

TEST(ScrubPaceTest, MoreIsDueWhenTheRateAllowsWhatWasRead) {
  ScrubPace pace;
  const ScrubPace::Clock::time_point start{};
  pace.Set(100, start);
  pace.Add(300, start);
  EXPECT_EQ(pace.Due(), start + seconds(3));
  pace.Set(300, start + seconds(1));
  EXPECT_EQ(pace.Due(), start + seconds(1));
}

TEST(ScrubPaceTest, TimeThatWasNotUsedIsNotSavedUp) {
  ScrubPace pace;
  const ScrubPace::Clock::time_point start{};
  pace.Set(100, start);
  pace.Add(100, start + seconds(50));
  EXPECT_EQ(pace.Due(), start + seconds(51));
}

TEST(ScrubPaceTest, TheTimeLeftFollowsFromWhatWasRead) {
  EXPECT_EQ(SecondsLeft(0, seconds(5), 100), std::nullopt);
  EXPECT_EQ(SecondsLeft(50, seconds(5), 100), 10u);
  EXPECT_EQ(SecondsLeft(50, seconds(5), 0), 0u);
}

}  // namespace
}  // namespace dedupfs
