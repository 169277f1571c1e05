// Damaged packs: what comes back is right or an error, never anything else.

#include "tests/packs/packs_test_util.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr PackId kPack = 7;

PackImage SmallPack(bool sealed) {
  return MakePackImage(kPack, {SmallChunk(1), SmallChunk(2), SmallChunk(3)}, sealed);
}

class PackDamageTest : public ::testing::Test {
 protected:
  void SetUp() override { MakePacksDir(env_); }

  // Every entry of `contents` is a record of `image` as it was written.
  static void ExpectOnlyTrueEntries(const Packs::Contents& contents, const PackImage& image) {
    for (const PackEntry& entry : contents.entries) {
      bool known = false;
      for (size_t i = 0; i < image.chunks.size(); ++i) {
        known = known || (entry.offset == image.locations[i].offset &&
                          SameHeader(entry.header, image.chunks[i].header));
      }
      EXPECT_TRUE(known) << "entry at offset " << entry.offset;
    }
  }

  // Reads and lists `bytes` as the pack, and returns how many records could be read.
  size_t Try(const PackImage& image, const std::string& bytes) {
    WritePack(env_, kPack, bytes);
    auto packs = MustOpen(env_, kPack + 1);
    size_t readable = 0;
    for (size_t i = 0; i < image.chunks.size(); ++i) {
      readable += ReadsBack(*packs, image.locations[i], image.chunks[i]) ? 1 : 0;
    }
    for (const bool scan : {false, true}) {
      const auto contents = scan ? packs->Scan(kPack) : packs->List(kPack);
      EXPECT_TRUE(contents);
      if (contents) ExpectOnlyTrueEntries(*contents, image);
    }
    return readable;
  }

  FaultEnv env_;
};

TEST_F(PackDamageTest, EveryTruncationKeepsTheRecordsBeforeIt) {
  for (const bool sealed : {false, true}) {
    const PackImage image = SmallPack(sealed);
    for (size_t length = 0; length < image.bytes.size(); ++length) {
      SCOPED_TRACE("length " + std::to_string(length));
      size_t whole = 0;
      for (const Location& location : image.locations) whole += location.end() <= length ? 1 : 0;
      EXPECT_EQ(Try(image, image.bytes.substr(0, length)), whole);
      auto packs = MustOpen(env_);
      const auto contents = packs->Scan(kPack);
      ASSERT_TRUE(contents);
      EXPECT_EQ(contents->entries.size(), whole);
      EXPECT_FALSE(contents->sealed);
      const bool at_a_boundary =
          length == kPackHeaderSize || (whole > 0 && image.locations[whole - 1].end() == length);
      EXPECT_EQ(contents->damaged.has_value(), !at_a_boundary);
    }
  }
}

TEST_F(PackDamageTest, EveryFlippedBitGivesAnErrorOrTheRightBytes) {
  for (const bool sealed : {false, true}) {
    const PackImage image = SmallPack(sealed);
    for (size_t bit = 0; bit < image.bytes.size() * 8; ++bit) {
      SCOPED_TRACE("bit " + std::to_string(bit));
      std::string bytes = image.bytes;
      bytes[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      const bool in_records = bit / 8 >= kPackHeaderSize && bit / 8 < image.locations.back().end();
      EXPECT_EQ(Try(image, bytes), in_records ? 2U : 3U);
      const auto contents = MustOpen(env_)->Scan(kPack);
      ASSERT_TRUE(contents);
      EXPECT_TRUE(contents->damaged) << "a flipped bit went unseen";
    }
  }
}

TEST_F(PackDamageTest, ScanOfASealedPackGoesOnAfterADamagedRecord) {
  const PackImage image = SmallPack(true);
  std::string bytes = image.bytes;
  bytes[image.locations[1].offset + kRecordHeaderSize] ^= 1;
  WritePack(env_, kPack, bytes);
  auto packs = MustOpen(env_);
  const auto contents = packs->Scan(kPack);
  ASSERT_TRUE(contents);
  EXPECT_TRUE(contents->sealed);
  EXPECT_EQ(contents->entries.size(), 2U);
  ASSERT_TRUE(contents->damaged);
  EXPECT_NE(contents->damaged->find("chunk 2"), std::string::npos) << *contents->damaged;
}

TEST_F(PackDamageTest, TableOfContentsInsideOfAChunkIsNotTakenByAScan) {
  // Content that ends as a sealed pack would: at the end of an unsealed pack it looks like a seal.
  const TestChunk forged = SmallChunk(99);
  const TestChunk first = SmallChunk(1);
  const uint64_t start = kPackHeaderSize + 2 * kRecordHeaderSize + first.header.stored;
  const uint64_t end = kPackHeaderSize + kRecordHeaderSize + forged.header.stored;
  std::string content(8, 'x');
  content += EncodeSeal(kPack, start + content.size(), {{forged.header, kPackHeaderSize}});
  ASSERT_LE(end, start);
  const PackImage image = MakePackImage(kPack, {first, TestChunk(2, content)}, false);
  WritePack(env_, kPack, image.bytes);
  const auto contents = MustOpen(env_)->Scan(kPack);
  ASSERT_TRUE(contents);
  EXPECT_FALSE(contents->sealed);
  ASSERT_EQ(contents->entries.size(), 2U);
  ExpectOnlyTrueEntries(*contents, image);
}

TEST_F(PackDamageTest, RandomBytesHoldNoRecord) {
  Random random(TestSeed());
  const PackImage image = SmallPack(true);
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(Try(image, random.Bytes(random.Below(2000))), 0U);
  }
}

TEST_F(PackDamageTest, RandomDamageNeverGivesWrongBytes) {
  Random random(TestSeed());
  for (int i = 0; i < 2000; ++i) {
    const PackImage image = SmallPack(random.OneIn(2));
    std::string bytes = image.bytes;
    const uint64_t edits = random.Between(1, 5);
    for (uint64_t edit = 0; edit < edits && !bytes.empty(); ++edit) {
      const size_t at = random.Below(bytes.size());
      switch (random.Below(3)) {
        case 0:
          bytes[at] = static_cast<char>(random.Next());
          break;
        case 1:
          bytes.erase(at, random.Between(1, 40));
          break;
        default:
          bytes.insert(at, random.Bytes(random.Between(1, 40)));
      }
    }
    Try(image, bytes);
  }
}

}  // namespace
}  // namespace dedupfs
