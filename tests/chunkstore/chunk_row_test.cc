#include "chunkstore/chunk_row.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace dedupfs {
namespace {

ChunkRow Sample() {
  ChunkRow row;
  row.location = {0x0102030405060708, 0x1112, 0x2122};
  row.raw = 0x3132;
  row.codec = Codec::kLz4;
  row.condemned = true;
  row.refcount = 0x41;
  for (size_t i = 0; i < row.fingerprint.bytes.size(); ++i) {
    row.fingerprint.bytes[i] = static_cast<uint8_t>(0x80 + i);
  }
  return row;
}

TEST(ChunkRowTest, EveryFieldComesBack) {
  const auto parsed = ParseChunkRow(EncodeChunkRow(Sample()), 7);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, Sample());
}

TEST(ChunkRowTest, BytesAreThoseOfTheFormatDocument) {
  std::string expected = {1, 1, 1};
  expected += std::string("\x08\x07\x06\x05\x04\x03\x02\x01", 8);
  expected += std::string("\x12\x11\0\0\0\0\0\0", 8);
  expected += std::string("\x22\x21\0\0", 4);
  expected += std::string("\x32\x31\0\0", 4);
  expected += std::string("\x41\0\0\0\0\0\0\0", 8);
  for (int i = 0; i < 32; ++i) expected += static_cast<char>(0x80 + i);
  EXPECT_EQ(EncodeChunkRow(Sample()), expected);
}

TEST(ChunkRowTest, EveryTruncationAndExtensionIsAnErrorNamingTheChunk) {
  const std::string whole = EncodeChunkRow(Sample());
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto parsed = ParseChunkRow(whole.substr(0, size), 4711);
    ASSERT_FALSE(parsed) << size;
    EXPECT_EQ(parsed.error().code, EIO);
    EXPECT_NE(parsed.error().message.find("4711"), std::string::npos);
  }
  EXPECT_FALSE(ParseChunkRow(whole + '\0', 4711));
}

TEST(ChunkRowTest, AFlippedBitIsAnErrorOrAnotherPlausibleRow) {
  const std::string whole = EncodeChunkRow(Sample());
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto parsed = ParseChunkRow(flipped, 1);
    if (!parsed) continue;
    EXPECT_FALSE(*parsed == Sample());
    EXPECT_EQ(EncodeChunkRow(*parsed), flipped);
  }
}

TEST(ChunkRowTest, ImpossibleLengthsAndPlacesAreErrors) {
  ChunkRow row = Sample();
  row.location.stored = row.raw + 1;
  EXPECT_FALSE(ParseChunkRow(EncodeChunkRow(row), 1));
  row = Sample();
  row.location.pack = 0;
  EXPECT_FALSE(ParseChunkRow(EncodeChunkRow(row), 1));
  row = Sample();
  row.location.offset = kPackHeaderSize - 1;
  EXPECT_FALSE(ParseChunkRow(EncodeChunkRow(row), 1));
  row = Sample();
  row.location.stored = 0;
  EXPECT_FALSE(ParseChunkRow(EncodeChunkRow(row), 1));
}

TEST(PackRowTest, ComesBackAndRefusesOtherLengths) {
  const PackRow row{10, 2, 3, 15, 7};
  const std::string whole = EncodePackRow(row);
  const auto parsed = ParsePackRow(whole, 9);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, row);
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto cut = ParsePackRow(whole.substr(0, size), 4711);
    ASSERT_FALSE(cut);
    EXPECT_NE(cut.error().message.find("4711"), std::string::npos);
  }
  EXPECT_FALSE(ParsePackRow(EncodePackRow({10, 4, 3, 15}), 9)) << "more live than there are";
  EXPECT_FALSE(ParsePackRow(EncodePackRow({10, 2, 3, 15, 11}), 9)) << "more lz4 than live";
  std::string first_version = whole;
  first_version[0] = 1;
  EXPECT_FALSE(ParsePackRow(first_version, 9));
}

TEST(TotalsRowTest, ComesBackAndRefusesOtherLengths) {
  const TotalsRow row{1, 2, 3, 4, 5, 6, 7};
  const std::string whole = EncodeTotalsRow(row);
  const auto parsed = ParseTotalsRow(whole);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, row);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseTotalsRow(whole.substr(0, size)));
  }
}

TEST(FingerprintEntryTest, ComesBackAndRefusesOtherLengthsAndNoChunk) {
  const auto parsed = ParseFingerprintEntry(EncodeFingerprintEntry(77), {});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, 77u);
  EXPECT_FALSE(ParseFingerprintEntry("1234567", {}));
  EXPECT_FALSE(ParseFingerprintEntry("123456789", {}));
  EXPECT_FALSE(ParseFingerprintEntry(EncodeFingerprintEntry(0), {}));
}

TEST(ChunkRowTest, RandomBytesNeverCrashAParser) {
  Random random(TestSeed());
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = random.Bytes(random.Below(80));
    if (round % 2 == 0 && !bytes.empty()) bytes[0] = static_cast<char>(random.Between(1, 2));
    const auto row = ParseChunkRow(bytes, 1);
    if (row) {
      EXPECT_EQ(EncodeChunkRow(*row), bytes);
    }
    const auto pack = ParsePackRow(bytes, 1);
    if (pack) {
      EXPECT_EQ(EncodePackRow(*pack), bytes);
    }
    const auto totals = ParseTotalsRow(bytes);
    if (totals) {
      EXPECT_EQ(EncodeTotalsRow(*totals), bytes);
    }
  }
}

}  // namespace
}  // namespace dedupfs
