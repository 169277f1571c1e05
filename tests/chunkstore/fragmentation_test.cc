#include "chunkstore/fragmentation.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

std::vector<PlacedChunk> OneInEachPack(size_t count) {
  std::vector<PlacedChunk> chunks;
  for (size_t i = 0; i < count; ++i) chunks.push_back({i * 4096, i + 1, 4096, i, true});
  return chunks;
}

const auto kRich = [](uint64_t) { return true; };

TEST(FragmentationTest, SixteenPacksAreLeftAlone) {
  EXPECT_TRUE(ItemsToRewrite(OneInEachPack(16), kRich).empty());
}

TEST(FragmentationTest, TheSparsestPacksOfASegmentGoFirst) {
  auto chunks = OneInEachPack(18);
  chunks[3].bytes = 100;
  chunks[11].bytes = 50;
  const std::vector<size_t> expected = {3, 11};
  EXPECT_EQ(ItemsToRewrite(chunks, kRich), expected);
}

TEST(FragmentationTest, SegmentsAreJudgedEachByItself) {
  auto chunks = OneInEachPack(32);
  for (size_t i = 16; i < 32; ++i) chunks[i].logical_offset += kSegmentBytes;
  EXPECT_TRUE(ItemsToRewrite(chunks, kRich).empty());
}

TEST(FragmentationTest, ASmallerOffsetBeginsAnotherFile) {
  auto chunks = OneInEachPack(32);
  for (size_t i = 16; i < 32; ++i) chunks[i].logical_offset = (i - 16) * 4096;
  EXPECT_TRUE(ItemsToRewrite(chunks, kRich).empty());
}

TEST(FragmentationTest, WithoutCreditOrClaimNothingIsRewritten) {
  auto chunks = OneInEachPack(20);
  EXPECT_TRUE(ItemsToRewrite(chunks, [](uint64_t) { return false; }).empty());
  for (PlacedChunk& chunk : chunks) chunk.movable = false;
  EXPECT_TRUE(ItemsToRewrite(chunks, kRich).empty());
}

using FragmentationStoreTest = StoreTest;

TEST_F(FragmentationStoreTest, ADuplicateOverTwentyPacksEndsInAtMostSeventeen) {
  Random random(TestSeed());
  std::vector<std::string> contents;
  for (int i = 0; i < 20; ++i) {
    contents.push_back(random.Bytes(4096));
    Add({contents.back()});
    Reopen();
  }
  Add({random.Bytes(kLargestChunk), random.Bytes(kLargestChunk), random.Bytes(kLargestChunk)});
  const std::vector<ChunkId> ids = Add(contents);
  std::set<PackId> packs;
  for (size_t i = 0; i < ids.size(); ++i) {
    packs.insert(Info(ids[i]).location.pack);
    EXPECT_EQ(Info(ids[i]).refcount, 2u);
    ExpectContent(ids[i], contents[i]);
  }
  EXPECT_LE(packs.size(), 17u);
  EXPECT_GE(packs.size(), 16u) << "more was rewritten than the bound asks for";
  EXPECT_TRUE(Problems().empty());
}

TEST_F(FragmentationStoreTest, RewritingStopsAtTwoPercentOfWhatIsStored) {
  Random random(TestSeed());
  std::vector<std::string> contents;
  for (int i = 0; i < 20; ++i) {
    contents.push_back(random.Bytes(4096));
    Add({contents.back()});
    Reopen();
  }
  const std::vector<ChunkId> ids = Add(contents);
  std::set<PackId> packs;
  for (ChunkId id : ids) packs.insert(Info(id).location.pack);
  EXPECT_EQ(packs.size(), 20u);
}

}  // namespace
}  // namespace dedupfs
