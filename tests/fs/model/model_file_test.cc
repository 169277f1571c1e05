#include "tests/fs/model/model_file.h"

#include <gtest/gtest.h>

#include <string>

namespace dedupfs {
namespace {

using namespace std::string_literals;

TEST(ModelBytesTest, WriteBeyondTheEndFillsWithZeros) {
  ModelBytes bytes;
  bytes.Write(2, "ab");
  EXPECT_EQ(bytes.bytes(), "\0\0ab"s);
}

TEST(ModelBytesTest, TruncateForgetsWhatItCut) {
  ModelBytes bytes;
  bytes.Write(0, "abcd");
  bytes.Truncate(1);
  bytes.Truncate(3);
  EXPECT_EQ(bytes.bytes(), "a\0\0"s);
}

TEST(ModelBytesTest, PunchNeverChangesTheSize) {
  ModelBytes bytes;
  bytes.Write(0, "abcd");
  bytes.Punch(2, 100);
  EXPECT_EQ(bytes.bytes(), "ab\0\0"s);
  bytes.Punch(9, 1);
  EXPECT_EQ(bytes.size(), 4u);
}

TEST(ModelBytesTest, ZeroRangeGrowsUnlessToldToKeepTheSize) {
  ModelBytes bytes;
  bytes.Write(0, "ab");
  bytes.ZeroRange(1, 3, true);
  EXPECT_EQ(bytes.bytes(), "a\0"s);
  bytes.ZeroRange(1, 3, false);
  EXPECT_EQ(bytes.bytes(), "a\0\0\0"s);
}

TEST(ModelBytesTest, ReadStopsAtTheEnd) {
  ModelBytes bytes;
  bytes.Write(0, "abcd");
  EXPECT_EQ(bytes.Read(3, 10), "d");
  EXPECT_EQ(bytes.Read(4, 10), "");
}

}  // namespace
}  // namespace dedupfs
