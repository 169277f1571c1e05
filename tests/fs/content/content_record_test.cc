#include "fs/content/content_record.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "tests/fs/content/damaged_bytes.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr Ino kIno = 4711;

ContentRecord RandomRecord(Random& random) {
  ContentRecord record;
  record.size = random.Below(kMaxFileSize + 1);
  record.recipe_size = random.Below(kMaxFileSize + 1);
  record.data_bytes = random.Below(record.recipe_size + 1);
  record.mtime = static_cast<Time>(random.Next());
  record.ctime = static_cast<Time>(random.Next());
  record.has_dirty_rows = random.OneIn(2);
  record.policy_chosen = random.OneIn(2);
  if (random.OneIn(2)) {
    record.policy = {ChunkingKind::kFixed, 4096u << random.Below(6)};
  } else {
    record.policy = {ChunkingKind::kContentDefined, (16u << 10) << random.Below(5)};
  }
  record.reason = static_cast<PolicyReason>(random.Below(kPolicyReasonCount));
  return record;
}

void ExpectSame(const ContentRecord& a, const ContentRecord& b) {
  EXPECT_EQ(a.size, b.size);
  EXPECT_EQ(a.recipe_size, b.recipe_size);
  EXPECT_EQ(a.data_bytes, b.data_bytes);
  EXPECT_EQ(a.mtime, b.mtime);
  EXPECT_EQ(a.ctime, b.ctime);
  EXPECT_EQ(a.has_dirty_rows, b.has_dirty_rows);
  EXPECT_EQ(a.policy_chosen, b.policy_chosen);
  EXPECT_EQ(a.policy, b.policy);
  EXPECT_EQ(a.reason, b.reason);
}

void ExpectErrorOrSound(const std::string& value) {
  const auto record = ParseContentRecord(kIno, value);
  if (!record) {
    EXPECT_EQ(record.error().code, EIO);
    EXPECT_NE(record.error().message.find("inode 4711: content record"), std::string::npos)
        << record.error().message;
    return;
  }
  EXPECT_LE(record->size, kMaxFileSize);
  EXPECT_LE(record->recipe_size, kMaxFileSize);
  EXPECT_LE(record->data_bytes, record->recipe_size);
  EXPECT_TRUE(ValidatePolicy(record->policy));
  const auto again = ParseContentRecord(kIno, EncodeContentRecord(*record));
  ASSERT_TRUE(again) << again.error().message;
  ExpectSame(*again, *record);
}

TEST(ContentRecordTest, EveryRecordReadsBackAsWritten) {
  Random random(TestSeed());
  for (int round = 0; round < 2000; ++round) {
    const ContentRecord record = RandomRecord(random);
    const auto parsed = ParseContentRecord(kIno, EncodeContentRecord(record));
    ASSERT_TRUE(parsed) << parsed.error().message;
    ExpectSame(*parsed, record);
  }
}

TEST(ContentRecordTest, BytesOnDiskAreAsDocumented) {
  ContentRecord record;
  record.size = 300;
  record.recipe_size = 2;
  record.data_bytes = 1;
  record.mtime = -1;
  record.ctime = 5;
  record.has_dirty_rows = record.policy_chosen = true;
  record.policy = {ChunkingKind::kFixed, 4096};
  record.reason = PolicyReason::kMagic;
  EXPECT_EQ(EncodeContentRecord(record), std::string("\x01\x03\x01\x03\x00\x10\x00\x00", 8) +
                                             std::string(8, '\xff') +
                                             std::string("\x05\0\0\0\0\0\0\0\xac\x02\x02\x01", 12));
}

TEST(ContentRecordTest, EveryTruncationIsAnErrorThatNamesTheInode) {
  Random random(TestSeed());
  for (int round = 0; round < 20; ++round) {
    const std::string whole = EncodeContentRecord(RandomRecord(random));
    ForEachTruncation(whole, [](const std::string& damaged) {
      EXPECT_FALSE(ParseContentRecord(kIno, damaged)) << damaged.size();
      ExpectErrorOrSound(damaged);
    });
    EXPECT_FALSE(ParseContentRecord(kIno, whole + '\0'));
  }
}

TEST(ContentRecordTest, FlippedBitsAndRandomBytesGiveAnErrorOrASoundRecord) {
  Random random(TestSeed());
  for (int round = 0; round < 20; ++round) {
    ForEachFlippedBit(EncodeContentRecord(RandomRecord(random)), ExpectErrorOrSound);
  }
  ForEachRandomValue(random, EncodeContentRecord(RandomRecord(random)), ExpectErrorOrSound);
}

TEST(ContentRecordTest, RecordThatBreaksARuleIsRefused) {
  const auto parses = [](const ContentRecord& record) {
    return ParseContentRecord(kIno, EncodeContentRecord(record)).has_value();
  };
  ContentRecord record;
  record.size = record.recipe_size = kMaxFileSize;
  record.data_bytes = kMaxFileSize;
  EXPECT_TRUE(parses(record));
  ContentRecord bad = record;
  bad.size = kMaxFileSize + 1;
  EXPECT_FALSE(parses(bad));
  bad = record;
  bad.recipe_size = bad.data_bytes - 1;
  EXPECT_FALSE(parses(bad)) << "more data than the recipe covers";
  bad = record;
  bad.policy.average = 48 << 10;
  EXPECT_FALSE(parses(bad)) << "no power of two";
  bad = record;
  bad.policy.kind = static_cast<ChunkingKind>(2);
  EXPECT_FALSE(parses(bad));
  bad = record;
  bad.reason = static_cast<PolicyReason>(kPolicyReasonCount);
  EXPECT_FALSE(parses(bad));
}

}  // namespace
}  // namespace dedupfs
