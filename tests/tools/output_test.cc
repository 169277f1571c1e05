#include "tools/dedupfs/output.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {
namespace {

TEST(OutputTest, BytesAreShownInTheUnitThatFits) {
  EXPECT_EQ(HumanBytes(0), "0 bytes");
  EXPECT_EQ(HumanBytes(1023), "1023 bytes");
  EXPECT_EQ(HumanBytes(1024), "1.0 KiB");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes((1ull << 20) - 1), "1.0 MiB");
  EXPECT_EQ(HumanBytes(5ull << 40), "5.0 TiB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16384.0 PiB");
}

TEST(OutputTest, TimesAreShownInTheUnitsThatFit) {
  EXPECT_EQ(HumanTime(0), "0 s");
  EXPECT_EQ(HumanTime(59), "59 s");
  EXPECT_EQ(HumanTime(60), "1 min");
  EXPECT_EQ(HumanTime(3599), "59 min");
  EXPECT_EQ(HumanTime(3600), "1 h");
  EXPECT_EQ(HumanTime(12'000), "3 h 20 min");
  EXPECT_EQ(HumanTime(86'400 * 2 + 3 * 3600), "2 d 3 h");
  EXPECT_EQ(HumanDate(1'000'000'000), "2001-09-09 01:46 UTC");
}

TEST(OutputTest, OneIsSingular) {
  EXPECT_EQ(HumanCount(0, "chunk"), "0 chunks");
  EXPECT_EQ(HumanCount(1, "chunk"), "1 chunk");
}

TEST(OutputTest, RatiosOfNothingAreADash) {
  EXPECT_EQ(HumanRatio(nullptr), "-");
  EXPECT_EQ(HumanPercent(nullptr), "-");
  EXPECT_EQ(HumanRatio(2.5), "2.50");
  EXPECT_EQ(HumanPercent(0.667), "66.7 %");
}

TEST(ExitCodeTest, ErrorsOfAStoreHaveTheirOwnStatus) {
  EXPECT_EQ(StoreExitCode({ENOENT, ""}), kExitNoStore);
  EXPECT_EQ(StoreExitCode({EBUSY, ""}), kExitStoreInUse);
  EXPECT_EQ(StoreExitCode({EPROTO, ""}), kExitNewerFormat);
  EXPECT_EQ(StoreExitCode({EIO, ""}), kExitFailure);
}

}  // namespace
}  // namespace dedupfs
