#include "fs/content/recipe_page.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunking/chunker.h"
#include "tests/fs/content/damaged_bytes.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr Ino kIno = 4711;
constexpr uint64_t kLastPage = kMaxFileSize / kRecipePageSpan;

RecipeEntries RandomEntries(Random& random, uint64_t page, uint64_t count) {
  RecipeEntries entries;
  entries.reserve(count);
  uint64_t at = page * kRecipePageSpan;
  for (uint64_t i = 0; i < count; ++i) {
    if (random.OneIn(3)) at += random.Below(random.OneIn(4) ? 1 << 20 : 8192);
    if (at >= (page + 1) * kRecipePageSpan) break;
    const uint64_t id = random.OneIn(5) ? random.Next() | 1 : 1000 + i;
    const auto length = static_cast<uint32_t>(random.Between(1, kLargestChunk));
    entries.push_back({at, length, id});
    at = entries.back().end();
  }
  return entries;
}

// An error that names inode and page, or a page that says the same when it is written anew.
void ExpectErrorOrSound(uint64_t page, const std::string& value) {
  const auto entries = ParseRecipePage(kIno, page, value);
  if (!entries) {
    EXPECT_EQ(entries.error().code, EIO);
    EXPECT_NE(entries.error().message.find("inode 4711: recipe page " + std::to_string(page)),
              std::string::npos)
        << entries.error().message;
    return;
  }
  ASSERT_FALSE(entries->empty());
  uint64_t end = page * kRecipePageSpan;
  for (const RecipeEntry& entry : *entries) {
    EXPECT_GE(entry.offset, end);
    EXPECT_EQ(entry.offset / kRecipePageSpan, page);
    EXPECT_GE(entry.length, 1u);
    EXPECT_LE(entry.length, kLargestChunk);
    EXPECT_NE(entry.id, 0u);
    end = entry.end();
  }
  const auto again = ParseRecipePage(kIno, page, EncodeRecipePage(page, *entries));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *entries);
}

TEST(RecipePageTest, EveryPageReadsBackAsWritten) {
  Random random(TestSeed());
  for (int round = 0; round < 500; ++round) {
    const uint64_t page = random.OneIn(10) ? kLastPage : random.Below(kLastPage);
    const RecipeEntries entries = RandomEntries(random, page, random.Between(1, 400));
    if (entries.empty()) continue;
    const auto parsed = ParseRecipePage(kIno, page, EncodeRecipePage(page, entries));
    ASSERT_TRUE(parsed) << parsed.error().message;
    ASSERT_EQ(*parsed, entries);
  }
}

TEST(RecipePageTest, ConsecutiveChunksTakeFewBytesEach) {
  RecipeEntries entries;
  entries.reserve(512);
  for (uint64_t i = 0; i < 512; ++i) entries.push_back({i * 32768, 32768, 900000 + i});
  EXPECT_LE(EncodeRecipePage(0, entries).size(), 512u * 5 + 16);
}

TEST(RecipePageTest, BytesOnDiskAreAsDocumented) {
  const RecipeEntries entries = {{kRecipePageSpan + 4096, 300, 10}, {kRecipePageSpan + 4396, 1, 9}};
  EXPECT_EQ(EncodeRecipePage(1, entries), std::string("\x01\x02"
                                                      "\x80\x20\xac\x02\x14"
                                                      "\x00\x01\x01",
                                                      10));
  EXPECT_EQ(RecipeKey(258, 3), std::string("\0\0\0\0\0\0\1\2\0\0\0\0\0\0\0\3", 16));
  EXPECT_EQ(RecipePageOfKey(RecipeKey(258, 3)), 3u);
}

TEST(RecipePageTest, EveryTruncationIsAnErrorThatNamesThePage) {
  Random random(TestSeed());
  const std::string whole = EncodeRecipePage(2, RandomEntries(random, 2, 30));
  ForEachTruncation(whole, [](const std::string& damaged) {
    EXPECT_FALSE(ParseRecipePage(kIno, 2, damaged)) << damaged.size();
    ExpectErrorOrSound(2, damaged);
  });
  EXPECT_FALSE(ParseRecipePage(kIno, 2, whole + '\0'));
}

TEST(RecipePageTest, FlippedBitsAndRandomBytesGiveAnErrorOrASoundPage) {
  Random random(TestSeed());
  for (const uint64_t page : {uint64_t{0}, uint64_t{77}, kLastPage}) {
    const std::string whole = EncodeRecipePage(page, RandomEntries(random, page, 30));
    const auto check = [page](const std::string& value) { ExpectErrorOrSound(page, value); };
    ForEachFlippedBit(whole, check);
    ForEachRandomValue(random, whole, check);
  }
}

TEST(RecipePageTest, PageThatBreaksARuleIsRefused) {
  const auto page_of = [](uint64_t count, uint64_t gap, uint64_t length, int64_t id) {
    std::string value;
    PutU8(value, 1);
    PutVarint(value, count);
    PutVarint(value, gap);
    PutVarint(value, length);
    PutZigzag(value, id);
    return value;
  };
  EXPECT_TRUE(ParseRecipePage(kIno, 0, page_of(1, kRecipePageSpan - 1, kLargestChunk, 1)));
  EXPECT_FALSE(ParseRecipePage(kIno, 0, page_of(1, kRecipePageSpan, 1, 1))) << "beyond the page";
  EXPECT_FALSE(ParseRecipePage(kIno, 0, page_of(1, UINT64_MAX, 1, 1))) << "wraps around";
  EXPECT_FALSE(ParseRecipePage(kIno, 0, page_of(1, 0, 0, 1))) << "no bytes";
  EXPECT_FALSE(ParseRecipePage(kIno, 0, page_of(1, 0, kLargestChunk + 1, 1))) << "too long";
  EXPECT_FALSE(ParseRecipePage(kIno, 0, page_of(1, 0, 1, 0))) << "chunk 0";
  EXPECT_FALSE(ParseRecipePage(kIno, 0, page_of(0, 0, 1, 1))) << "no entries";
  EXPECT_FALSE(ParseRecipePage(kIno, 0, page_of(UINT64_MAX, 0, 1, 1))) << "count of no sense";
  EXPECT_FALSE(ParseRecipePage(kIno, kLastPage + 1, page_of(1, 0, 1, 1))) << "no such page";
}

TEST(RecipePageTest, FirstEndingAfterFindsTheEntryThatHoldsOrFollows) {
  const RecipeEntries entries = {{10, 5, 1}, {15, 5, 2}, {30, 1, 3}};
  EXPECT_EQ(FirstEndingAfter(entries, 0)->id, 1u);
  EXPECT_EQ(FirstEndingAfter(entries, 14)->id, 1u);
  EXPECT_EQ(FirstEndingAfter(entries, 15)->id, 2u);
  EXPECT_EQ(FirstEndingAfter(entries, 20)->id, 3u);
  EXPECT_EQ(FirstEndingAfter(entries, 31), entries.end());
}

}  // namespace
}  // namespace dedupfs
