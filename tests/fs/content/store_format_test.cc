// The format file of a store: what a person, a crash or a bad disk may have made of it.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "chunkstore/chunking/chunker.h"
#include "fs/store_directory.h"
#include "tests/fs/content/damaged_bytes.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

const char* const kPath = "/somewhere/store/format";

StoreFormat RandomFormat(Random& random) {
  StoreFormat format;
  format.average_chunk_bytes = (16u << 10) << random.Below(5);
  for (auto& byte : format.name_key) byte = static_cast<uint8_t>(random.Below(256));
  constexpr const char* kDigits = "0123456789abcdef";
  for (int i = 0; i < 32; ++i) format.store_id += kDigits[random.Below(16)];
  return format;
}

void ExpectErrorOrSound(const std::string& text) {
  const auto format = ParseStoreFormat(kPath, text);
  if (!format) {
    EXPECT_TRUE(format.error().code == EIO || format.error().code == EPROTO);
    EXPECT_NE(format.error().message.find(kPath), std::string::npos) << format.error().message;
    return;
  }
  EXPECT_EQ(format->version, StoreFormat::kVersion);
  EXPECT_TRUE(ValidatePolicy({ChunkingKind::kContentDefined, format->average_chunk_bytes}));
  const std::string encoded = EncodeStoreFormat(*format);
  const auto again = ParseStoreFormat(kPath, encoded);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(EncodeStoreFormat(*again), encoded);
}

std::string Replaced(std::string text, const std::string& what, const std::string& with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

TEST(StoreFormatTest, EveryFormatReadsBackAsWritten) {
  Random random(TestSeed());
  for (int round = 0; round < 200; ++round) {
    const StoreFormat format = RandomFormat(random);
    const auto parsed = ParseStoreFormat(kPath, EncodeStoreFormat(format));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->version, format.version);
    EXPECT_EQ(parsed->average_chunk_bytes, format.average_chunk_bytes);
    EXPECT_EQ(parsed->name_key, format.name_key);
    EXPECT_EQ(parsed->store_id, format.store_id);
  }
}

TEST(StoreFormatTest, FeaturesReadBackAndAStoreWithoutAnyIsWrittenAsBefore) {
  StoreFormat format;
  format.store_id = std::string(32, '0');
  EXPECT_EQ(EncodeStoreFormat(format).find("features"), std::string::npos);
  format.compatible_features = 0x8000000000000001;
  format.read_only_compatible_features = 0x0123456789abcdef;
  const auto parsed = ParseStoreFormat(kPath, EncodeStoreFormat(format));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->compatible_features, format.compatible_features);
  EXPECT_EQ(parsed->read_only_compatible_features, format.read_only_compatible_features);
  EXPECT_EQ(parsed->incompatible_features, 0U);
}

TEST(StoreFormatTest, AnUnknownFeatureBitIsRefusedByItsKind) {
  for (int bit = 0; bit < 64; ++bit) {
    StoreFormat format;
    format.store_id = std::string(32, '0');
    format.incompatible_features = uint64_t{1} << bit;
    const auto refused = ParseStoreFormat(kPath, EncodeStoreFormat(format));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EPROTO);
    EXPECT_TRUE(refused.error().message.ends_with(": bit " + std::to_string(bit)));
    EXPECT_TRUE(CheckMayWrite(kPath, format)) << "that is for ParseStoreFormat to refuse";

    format.incompatible_features = 0;
    format.read_only_compatible_features = uint64_t{1} << bit;
    EXPECT_TRUE(ParseStoreFormat(kPath, EncodeStoreFormat(format)));
    EXPECT_EQ(CheckMayWrite(kPath, format).error().code, EPROTO);

    format.read_only_compatible_features = 0;
    format.compatible_features = uint64_t{1} << bit;
    EXPECT_TRUE(ParseStoreFormat(kPath, EncodeStoreFormat(format)));
    EXPECT_TRUE(CheckMayWrite(kPath, format));
  }
}

TEST(StoreFormatTest, EveryTruncationIsAnErrorThatNamesThePath) {
  Random random(TestSeed());
  const std::string whole = EncodeStoreFormat(RandomFormat(random));
  ForEachTruncation(whole, [&](const std::string& damaged) {
    // Without its last line feed alone it says the same.
    EXPECT_EQ(ParseStoreFormat(kPath, damaged).has_value(), damaged.size() + 1 == whole.size());
    ExpectErrorOrSound(damaged);
  });
}

TEST(StoreFormatTest, FlippedBitsAndRandomBytesGiveAnErrorOrASoundFormat) {
  Random random(TestSeed());
  const std::string whole = EncodeStoreFormat(RandomFormat(random));
  ForEachFlippedBit(whole, ExpectErrorOrSound);
  for (int round = 0; round < 2000; ++round) {
    ExpectErrorOrSound(whole.substr(0, random.Below(whole.size() + 1)) +
                       random.Bytes(random.Below(80)));
  }
}

TEST(StoreFormatTest, OtherVersionsAreRefusedAsSuch) {
  Random random(TestSeed());
  const std::string whole = EncodeStoreFormat(RandomFormat(random));
  for (const char* version : {"version = 1", "version = 3"}) {
    const auto other = ParseStoreFormat(kPath, Replaced(whole, "version = 2", version));
    ASSERT_FALSE(other) << version;
    EXPECT_EQ(other.error().code, EPROTO) << version;
  }
  // Whatever else a newer program writes.
  const auto other = ParseStoreFormat(kPath, "version = 7\n[layout]\npacks = \"s3\"\n");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, EPROTO);
}

TEST(StoreFormatTest, ValueOutOfItsRangeIsRefused) {
  Random random(TestSeed());
  StoreFormat format = RandomFormat(random);
  format.average_chunk_bytes = 32768;
  const std::string whole = EncodeStoreFormat(format);
  ASSERT_TRUE(ParseStoreFormat(kPath, whole));
  for (const char* version : {"version = 0", "version = -1", "version = \"2\"",
                              "version = 4294967297", "version = 2.5", ""}) {
    const auto parsed = ParseStoreFormat(kPath, Replaced(whole, "version = 2", version));
    ASSERT_FALSE(parsed) << version;
    EXPECT_EQ(parsed.error().code, EIO) << version;
  }
  for (const char* average : {"= 0", "= -32768", "= 8192", "= 524288", "= 32769", "= true",
                              "= 4295000064", "= 99999999999999999999999"}) {
    EXPECT_FALSE(ParseStoreFormat(kPath, Replaced(whole, "= 32768", average))) << average;
  }
  EXPECT_FALSE(ParseStoreFormat(kPath, Replaced(whole, format.store_id, "")));
  EXPECT_FALSE(ParseStoreFormat(kPath, Replaced(whole, format.store_id, std::string(32, 'g'))));
  EXPECT_FALSE(ParseStoreFormat(kPath, Replaced(whole, "name_key", "other_key")));
  EXPECT_FALSE(ParseStoreFormat(kPath, ""));
}

TEST(StoreFormatTest, DeepNestingIsAnErrorAndNoCrash) {
  ExpectErrorOrSound("a = " + std::string(60000, '['));
  ExpectErrorOrSound("a = " + std::string(30000, '{'));
}

}  // namespace
}  // namespace dedupfs
