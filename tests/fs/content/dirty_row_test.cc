#include "fs/content/dirty_row.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "tests/fs/content/damaged_bytes.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr Ino kIno = 4711;
constexpr uint64_t kSequence = 815;

const std::string& Key() {
  static const std::string key = DirtyKey(kIno, kSequence, 3);
  return key;
}

void ExpectErrorOrSound(const std::string& value) {
  const auto row = ParseDirtyRow(Key(), value);
  if (!row) {
    EXPECT_EQ(row.error().code, EIO);
    EXPECT_NE(row.error().message.find("inode 4711: dirty extent 815"), std::string::npos)
        << row.error().message;
    return;
  }
  EXPECT_GT(row->length, 0u);
  EXPECT_LE(row->length, kMaxFileSize);
  EXPECT_LE(row->offset, kMaxFileSize - row->length);
  const std::string encoded =
      EncodeDirtyRow(row->offset, row->length, row->zeros, AsBytes(row->data));
  const auto again = ParseDirtyRow(Key(), encoded);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->offset, row->offset);
  EXPECT_EQ(again->length, row->length);
  EXPECT_EQ(again->zeros, row->zeros);
  EXPECT_EQ(again->data, row->data);
}

TEST(DirtyRowTest, EveryRowReadsBackAsWritten) {
  Random random(TestSeed());
  for (int round = 0; round < 2000; ++round) {
    const bool zeros = random.OneIn(3);
    const std::string data = zeros ? "" : random.Bytes(random.Between(1, 300));
    const uint64_t length = zeros ? random.Between(1, kMaxFileSize) : data.size();
    const uint64_t offset = random.Below(kMaxFileSize - length + 1);
    const std::string value = EncodeDirtyRow(offset, length, zeros, AsBytes(data));
    const auto row = ParseDirtyRow(Key(), value);
    ASSERT_TRUE(row) << row.error().message;
    EXPECT_EQ(row->offset, offset);
    EXPECT_EQ(row->length, length);
    EXPECT_EQ(row->zeros, zeros);
    EXPECT_EQ(row->data, data);
  }
}

TEST(DirtyRowTest, KeysSortByInodeThenSequence) {
  EXPECT_LT(DirtyKey(1, UINT64_MAX, 9), DirtyKey(2, 0, 0));
  EXPECT_LT(DirtyKey(1, 255, 9), DirtyKey(1, 256, 0));
  EXPECT_NE(DirtyKey(1, 1, 0), DirtyKey(1, 1, 1));
  EXPECT_EQ(DirtyInoOfKey(Key()), kIno);
  EXPECT_EQ(DirtySequenceOfKey(Key()), kSequence);
}

TEST(DirtyRowTest, BytesOnDiskAreAsDocumented) {
  EXPECT_EQ(EncodeDirtyRow(300, 2, false, AsBytes("ab")), std::string("\x01\x00\xac\x02\x02"
                                                                      "ab",
                                                                      7));
  EXPECT_EQ(EncodeDirtyRow(1, 300, true, {}), std::string("\x01\x01\x01\xac\x02", 5));
  EXPECT_EQ(DirtyKey(1, 2, 3), std::string("\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\3\0\0\0", 20));
}

TEST(DirtyRowTest, KeyOfAWrongLengthIsRefused) {
  const std::string value = EncodeDirtyRow(0, 1, false, AsBytes("x"));
  ForEachTruncation(Key(), [&](const std::string& key) {
    const auto row = ParseDirtyRow(key, value);
    ASSERT_FALSE(row) << key.size();
    EXPECT_EQ(row.error().code, EIO);
  });
  EXPECT_FALSE(ParseDirtyRow(Key() + '\0', value));
}

TEST(DirtyRowTest, EveryTruncationIsAnErrorThatNamesInodeAndSequence) {
  Random random(TestSeed());
  for (const std::string& whole : {EncodeDirtyRow(70000, 100, false, AsBytes(random.Bytes(100))),
                                   EncodeDirtyRow(kMaxFileSize - 70000, 70000, true, {})}) {
    ForEachTruncation(whole, [](const std::string& damaged) {
      EXPECT_FALSE(ParseDirtyRow(Key(), damaged)) << damaged.size();
      ExpectErrorOrSound(damaged);
    });
    EXPECT_FALSE(ParseDirtyRow(Key(), whole + '\0'));
  }
}

TEST(DirtyRowTest, FlippedBitsAndRandomBytesGiveAnErrorOrASoundRow) {
  Random random(TestSeed());
  const std::string data = EncodeDirtyRow(70000, 40, false, AsBytes(random.Bytes(40)));
  const std::string zeros = EncodeDirtyRow(1ull << 40, 1ull << 41, true, {});
  for (const std::string& whole : {data, zeros}) {
    ForEachFlippedBit(whole, ExpectErrorOrSound);
    ForEachRandomValue(random, whole, ExpectErrorOrSound);
  }
}

TEST(DirtyRowTest, RangeBeyondTheLargestFileIsRefused) {
  EXPECT_TRUE(ParseDirtyRow(Key(), EncodeDirtyRow(kMaxFileSize - 1, 1, true, {})));
  EXPECT_FALSE(ParseDirtyRow(Key(), EncodeDirtyRow(kMaxFileSize, 1, true, {})));
  EXPECT_FALSE(ParseDirtyRow(Key(), EncodeDirtyRow(UINT64_MAX, 2, true, {})));
  EXPECT_FALSE(ParseDirtyRow(Key(), EncodeDirtyRow(0, UINT64_MAX, true, {})));
  EXPECT_FALSE(ParseDirtyRow(Key(), EncodeDirtyRow(0, 0, true, {})));
}

}  // namespace
}  // namespace dedupfs
