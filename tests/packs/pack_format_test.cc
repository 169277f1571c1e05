#include "chunkstore/packs/pack_format.h"

#include <cerrno>

#include "chunkstore/chunking/chunker.h"
#include "tests/packs/packs_test_util.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += kDigits[static_cast<uint8_t>(c) >> 4];
    out += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

TEST(PackFormatTest, PackHeaderHasItsGoldenBytes) {
  EXPECT_EQ(Hex(EncodePackHeader(0x0102030405060708)), "4446504b010000000807060504030201");
}

TEST(PackFormatTest, RecordHasItsGoldenBytes) {
  const TestChunk chunk(0x2a, "abc");
  const std::string header = EncodeRecordHeader(chunk.header, AsBytes(chunk.content));
  // SHA-256 of "abc" is the example of FIPS 180-4; the checksum was computed apart, by libxxhash.
  EXPECT_EQ(Hex(header),
            "44465243"
            "01"
            "00"
            "0000"
            "03000000"
            "03000000"
            "2a00000000000000"
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            "559702fa45f312fc");
}

TEST(PackFormatTest, RecordRoundTrips) {
  for (const Codec codec : {Codec::kRaw, Codec::kLz4, Codec::kZstd}) {
    TestChunk chunk(9, "some stored bytes");
    chunk.header.codec = codec;
    chunk.header.raw = kLargestChunk;
    const std::string bytes = EncodeRecordHeader(chunk.header, AsBytes(chunk.content));
    ASSERT_EQ(bytes.size(), kRecordHeaderSize);
    const auto parsed = ParseRecordHeader(bytes);
    ASSERT_TRUE(parsed);
    EXPECT_TRUE(SameHeader(*parsed, chunk.header));
    EXPECT_TRUE(VerifyRecord(AsBytes(bytes + chunk.content)));
  }
}

TEST(PackFormatTest, RecordLengthsOutsideOfTheirBoundsAreRefused) {
  const auto parses = [](uint32_t raw, uint32_t stored) {
    RecordHeader header;
    header.id = 1;
    header.raw = raw;
    header.stored = stored;
    return ParseRecordHeader(EncodeRecordHeader(header, {})).has_value();
  };
  EXPECT_TRUE(parses(1, 1));
  EXPECT_TRUE(parses(kLargestChunk, kLargestChunk));
  EXPECT_FALSE(parses(0, 0));
  EXPECT_FALSE(parses(1, 0));
  EXPECT_FALSE(parses(1, 2));
  EXPECT_FALSE(parses(kLargestChunk + 1, 1));
  EXPECT_FALSE(parses(UINT32_MAX, UINT32_MAX));
}

TEST(PackFormatTest, EveryFlippedBitOfARecordIsFound) {
  const TestChunk chunk = SmallChunk(3);
  std::string record = EncodeRecordHeader(chunk.header, AsBytes(chunk.content)) + chunk.content;
  ASSERT_TRUE(VerifyRecord(AsBytes(record)));
  for (size_t bit = 0; bit < record.size() * 8; ++bit) {
    record[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_FALSE(VerifyRecord(AsBytes(record))) << "bit " << bit;
    record[bit / 8] ^= static_cast<char>(1 << (bit % 8));
  }
}

TEST(PackFormatTest, PackHeaderOfAnotherPackIsRefused) {
  EXPECT_TRUE(ParsePackHeader(EncodePackHeader(5), 5));
  const Status status = ParsePackHeader(EncodePackHeader(5), 6);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, EIO);
}

TEST(PackFormatTest, SealRoundTrips) {
  const PackImage image = MakePackImage(4, {SmallChunk(1), SmallChunk(2), SmallChunk(3)}, true);
  const auto footer = ParseFooter(image.bytes, 4, image.bytes.size());
  ASSERT_TRUE(footer && footer->has_value());
  EXPECT_EQ((*footer)->toc_offset, image.locations.back().end());
  const auto toc =
      ParseToc(image.bytes.substr((*footer)->toc_offset, (*footer)->toc_size), **footer);
  ASSERT_TRUE(toc);
  ASSERT_EQ(toc->size(), 3U);
  for (size_t i = 0; i < toc->size(); ++i) {
    EXPECT_EQ((*toc)[i].offset, image.locations[i].offset);
    EXPECT_TRUE(SameHeader((*toc)[i].header, image.chunks[i].header));
  }
}

TEST(PackFormatTest, PackWithoutRecordsSeals) {
  const PackImage image = MakePackImage(4, {}, true);
  const auto footer = ParseFooter(image.bytes, 4, image.bytes.size());
  ASSERT_TRUE(footer && footer->has_value());
  const auto toc = ParseToc("", **footer);
  ASSERT_TRUE(toc);
  EXPECT_TRUE(toc->empty());
}

TEST(PackFormatTest, EntriesOutOfOrderOrPlaceAreRefused) {
  const TestChunk chunk = SmallChunk(1);
  const uint64_t size = kRecordHeaderSize + chunk.header.stored;
  const auto parses = [&](uint64_t end, const std::vector<PackEntry>& entries) {
    const std::string seal = EncodeSeal(1, end, entries);
    const auto footer = ParseFooter(seal, 1, end + seal.size());
    EXPECT_TRUE(footer && footer->has_value());
    return ParseToc(std::string_view(seal).substr(0, (*footer)->toc_size), **footer).has_value();
  };
  const PackEntry first{chunk.header, kPackHeaderSize};
  const PackEntry second{chunk.header, kPackHeaderSize + size};
  EXPECT_TRUE(parses(kPackHeaderSize + 2 * size, {first, second}));
  EXPECT_FALSE(parses(kPackHeaderSize + 2 * size, {second, first}));
  EXPECT_FALSE(parses(kPackHeaderSize + 2 * size, {first, first}));
  EXPECT_FALSE(parses(kPackHeaderSize + 2 * size - 1, {first, second}));
  EXPECT_FALSE(parses(kPackHeaderSize + size, {{chunk.header, kPackHeaderSize - 1}}));
  EXPECT_FALSE(parses(kPackHeaderSize + size, {{chunk.header, UINT64_MAX - 8}}));
}

TEST(PackFormatTest, RandomBytesAreNeverAccepted) {
  Random random(TestSeed());
  for (int i = 0; i < 20000; ++i) {
    const std::string bytes = random.Bytes(random.Below(300));
    EXPECT_FALSE(ParsePackHeader(bytes, 1));
    EXPECT_FALSE(ParseRecordHeader(bytes));
    EXPECT_FALSE(VerifyRecord(AsBytes(bytes)));
    const auto footer = ParseFooter(bytes, 1, bytes.size());
    EXPECT_TRUE(!footer || !footer->has_value());
    if (!bytes.empty()) {
      EXPECT_FALSE(ParseToc(bytes, Footer{random.Next(), bytes.size(), bytes.size() / 64, 0}));
    }
  }
}

TEST(PackFormatTest, FileNamesAreOneToOne) {
  EXPECT_EQ(PackFileName(42), "0000000000000042.pack");
  for (const PackId id : {PackId{1}, PackId{42}, PackId{9999999999999999}, PackId{UINT64_MAX}}) {
    EXPECT_EQ(ParsePackFileName(PackFileName(id)), id);
  }
  for (const char* name : {"", ".pack", "42.pack", "0000000000000000.pack", "000000000000004x.pack",
                           "00000000000000042.pack", "0000000000000042.pack.tmp",
                           "-000000000000042.pack", "99999999999999999999999.pack"}) {
    EXPECT_EQ(ParsePackFileName(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace dedupfs
