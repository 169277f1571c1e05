#include "chunkstore/base/coding.h"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

// Values around every power of two: where the length of a varint changes.
template <typename Check>
void ForEdgeValues(Check check) {
  check(0);
  check(kMax);
  for (int bit = 0; bit < 64; ++bit) {
    const uint64_t power = uint64_t{1} << bit;
    check(power - 1);
    check(power);
    check(power + 1);
  }
}

TEST(CodingTest, FixedValuesAreLittleEndian) {
  std::string out;
  PutU16(out, 0x0102);
  PutU32(out, 0x03040506);
  PutU64(out, 0x0708090A0B0C0D0E);
  EXPECT_EQ(out, std::string("\x02\x01\x06\x05\x04\x03\x0E\x0D\x0C\x0B\x0A\x09\x08\x07"));
}

TEST(CodingTest, BigEndianKeysSortAsNumbers) {
  ForEdgeValues([](uint64_t value) {
    EXPECT_EQ(ParseBigU64(BigU64(value)), value);
    if (value > 0) {
      EXPECT_LT(BigU64(value - 1), BigU64(value));
    }
  });
}

TEST(CodingTest, VarintsRoundTripAtEveryLength) {
  ForEdgeValues([](uint64_t value) {
    std::string out;
    PutVarint(out, value);
    EXPECT_LE(out.size(), 10U);
    Decoder decoder(out);
    EXPECT_EQ(decoder.Varint(), value);
    EXPECT_TRUE(decoder.AtEnd());
  });
}

TEST(CodingTest, ZigzagRoundTripsAndIsShortForSmallNegatives) {
  ForEdgeValues([](uint64_t raw) {
    const auto value = static_cast<int64_t>(raw);
    std::string out;
    PutZigzag(out, value);
    Decoder decoder(out);
    EXPECT_EQ(decoder.Zigzag(), value);
    EXPECT_TRUE(decoder.AtEnd());
  });
  std::string minus_one;
  PutZigzag(minus_one, -1);
  EXPECT_EQ(minus_one, std::string("\x01"));
}

TEST(CodingTest, VarintsOver64BitsAreRefused) {
  std::string ten(9, '\xFF');
  ten.push_back('\x01');
  Decoder largest(ten);
  EXPECT_EQ(largest.Varint(), kMax);
  ten.back() = '\x02';
  Decoder too_large(ten);
  EXPECT_EQ(too_large.Varint(), 0U);
  EXPECT_FALSE(too_large.ok());
  const std::string endless(20, '\x80');
  Decoder never_ends(endless);
  EXPECT_EQ(never_ends.Varint(), 0U);
  EXPECT_FALSE(never_ends.ok());
}

std::string OneOfEach() {
  std::string out;
  PutU8(out, 200);
  PutU16(out, 60000);
  PutU32(out, 4'000'000'000);
  PutU64(out, kMax - 5);
  PutBigU64(out, 12345);
  PutVarint(out, 1'000'000);
  PutZigzag(out, -1'000'000);
  PutString(out, std::string_view("a\0b", 3));
  return out;
}

void TakeOneOfEach(Decoder& decoder) {
  decoder.U8();
  decoder.U16();
  decoder.U32();
  decoder.U64();
  decoder.BigU64();
  decoder.Varint();
  decoder.Zigzag();
  decoder.String();
}

TEST(CodingTest, EveryKindRoundTrips) {
  const std::string data = OneOfEach();
  Decoder decoder(data);
  EXPECT_EQ(decoder.U8(), 200);
  EXPECT_EQ(decoder.U16(), 60000);
  EXPECT_EQ(decoder.U32(), 4'000'000'000);
  EXPECT_EQ(decoder.U64(), kMax - 5);
  EXPECT_EQ(decoder.BigU64(), 12345U);
  EXPECT_EQ(decoder.Varint(), 1'000'000U);
  EXPECT_EQ(decoder.Zigzag(), -1'000'000);
  EXPECT_EQ(decoder.String(), std::string_view("a\0b", 3));
  EXPECT_TRUE(decoder.AtEnd());
}

TEST(CodingTest, EveryTruncationIsNoticed) {
  const std::string data = OneOfEach();
  for (size_t size = 0; size < data.size(); ++size) {
    Decoder decoder(std::string_view(data).substr(0, size));
    TakeOneOfEach(decoder);
    EXPECT_FALSE(decoder.ok()) << size;
    EXPECT_FALSE(decoder.AtEnd()) << size;
  }
}

TEST(CodingTest, AfterAFailureEverythingReadsAsNothing) {
  const std::string data("\x01\x02\x03", 3);
  Decoder decoder(data);
  EXPECT_EQ(decoder.U32(), 0U);
  EXPECT_EQ(decoder.U8(), 0U);
  EXPECT_EQ(decoder.Take(1), "");
  EXPECT_EQ(decoder.BigU64(), 0U);
  EXPECT_EQ(decoder.Zigzag(), 0);
  EXPECT_FALSE(decoder.ok());
}

TEST(CodingTest, AStringLongerThanTheInputIsRefused) {
  std::string data;
  PutVarint(data, kMax);
  data.append("abc");
  Decoder decoder(data);
  EXPECT_EQ(decoder.String(), "");
  EXPECT_FALSE(decoder.ok());
}

TEST(CodingTest, RandomBytesNeverReadPastTheirEnd) {
  Random random(TestSeed());
  for (int round = 0; round < 2000; ++round) {
    const std::string data = random.Bytes(random.Below(40));
    Decoder decoder(data);
    const std::string_view text = decoder.String();
    EXPECT_LE(text.size() + decoder.remaining(), data.size());
    TakeOneOfEach(decoder);
    EXPECT_LE(decoder.remaining(), data.size());
  }
}

}  // namespace
}  // namespace dedupfs
