#include "chunkstore/chunking/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <random>
#include <string>

#include "tests/chunking/random_data.h"

namespace dedupfs {
namespace {

// About half of it repeats, as in program text.
Buffer Compressible(std::mt19937_64& random, size_t size) {
  Buffer data = RandomBytes(random, size);
  for (std::byte& byte : data) byte &= std::byte{0x0F};
  for (size_t at = 64; at + 32 <= size; at += 64) {
    const auto to = data.begin() + static_cast<std::ptrdiff_t>(at);
    std::copy(to - 64, to - 32, to);
  }
  return data;
}

constexpr std::byte kGuard{0xA5};

// Decodes `stored` between guard bytes; true if it was accepted. Fails the test if a byte outside
// was written or an error is not EIO.
bool DecodesInside(Codec codec, Bytes stored, size_t size, Buffer& decoded) {
  Buffer room(size + 128, kGuard);
  const Status status = Decompress(codec, stored, MutableBytes(room).subspan(64, size));
  const auto outside = [](std::byte byte) { return byte == kGuard; };
  EXPECT_TRUE(std::all_of(room.begin(), room.begin() + 64, outside));
  EXPECT_TRUE(std::all_of(room.end() - 64, room.end(), outside));
  if (!status) {
    EXPECT_EQ(status.error().code, EIO);
    EXPECT_FALSE(status.error().message.empty());
    return false;
  }
  decoded.assign(room.begin() + 64, room.end() - 64);
  return true;
}

class CodecTest : public testing::TestWithParam<Codec> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Compress(GetParam(), 3, data_, stored_));
    ASSERT_LE(stored_.size() * 100, data_.size() * 94);
  }

  std::mt19937_64 random_{TestSeed()};
  Buffer data_ = Compressible(random_, 20000);
  Buffer stored_;
  Buffer decoded_;
};

TEST_P(CodecTest, RoundTripsEverySizeThatItAccepts) {
  for (int i = 0; i < 300; ++i) {
    const Buffer data = Compressible(random_, 1 + RandomUpTo(random_, 60000));
    Buffer stored;
    if (!Compress(GetParam(), 1, data, stored)) {
      EXPECT_LT(data.size(), 500u);
      continue;
    }
    ASSERT_TRUE(DecodesInside(GetParam(), stored, data.size(), decoded_));
    ASSERT_EQ(decoded_, data);
  }
}

TEST_P(CodecTest, RandomBytesAreRefused) {
  for (const size_t size : {0, 1, 5, 100, 4096, 50000}) {
    EXPECT_FALSE(Compress(GetParam(), 3, RandomBytes(random_, size), decoded_)) << size;
  }
}

TEST_P(CodecTest, AGainUnderSixPercentIsRefused) {
  // Random but for a run of zeros of the given percent.
  for (const size_t percent : {2, 4}) {
    Buffer data = RandomBytes(random_, 50000);
    std::fill(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(500 * percent),
              std::byte{0});
    EXPECT_FALSE(Compress(GetParam(), 3, data, decoded_)) << percent;
  }
  Buffer data = RandomBytes(random_, 50000);
  std::fill(data.begin(), data.begin() + 500 * 9, std::byte{0});
  EXPECT_TRUE(Compress(GetParam(), 3, data, decoded_));
}

TEST_P(CodecTest, WrongRawLengthIsAnError) {
  for (const size_t size :
       {size_t{0}, size_t{1}, data_.size() - 1, data_.size() + 1, 2 * data_.size()}) {
    EXPECT_FALSE(DecodesInside(GetParam(), stored_, size, decoded_)) << size;
  }
}

TEST_P(CodecTest, TruncatedInputIsAnError) {
  for (size_t size = 0; size < stored_.size(); size += 1 + RandomUpTo(random_, 30)) {
    // A copy of just that size, so that a sanitizer sees a read behind it.
    const Buffer part(stored_.begin(), stored_.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(DecodesInside(GetParam(), part, data_.size(), decoded_)) << size;
  }
}

TEST_P(CodecTest, TrailingBytesAreAnError) {
  stored_.insert(stored_.end(), 3, std::byte{0});
  EXPECT_FALSE(DecodesInside(GetParam(), stored_, data_.size(), decoded_));
}

TEST_P(CodecTest, FlippedBitsNeverWriteOutside) {
  for (int i = 0; i < 3000; ++i) {
    Buffer bad = stored_;
    // Headers lie at the front: half of the flips go there.
    const size_t most = i % 2 == 0 ? size_t{40} : bad.size() - 1;
    for (size_t flips = 1 + RandomUpTo(random_, 2); flips > 0; --flips) {
      bad[RandomUpTo(random_, most)] ^= std::byte{1} << RandomUpTo(random_, 7);
    }
    DecodesInside(GetParam(), bad, data_.size(), decoded_);
  }
}

TEST_P(CodecTest, RandomInputNeverWritesOutside) {
  for (int i = 0; i < 1000; ++i) {
    const Buffer noise = RandomBytes(random_, RandomUpTo(random_, 2000));
    DecodesInside(GetParam(), noise, RandomUpTo(random_, 4000), decoded_);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CodecTest, testing::Values(Codec::kLz4, Codec::kZstd),
                         [](const testing::TestParamInfo<Codec>& codec) {
                           return std::string(codec.param == Codec::kLz4 ? "Lz4" : "Zstd");
                         });

TEST(RawCodecTest, IsNeverCompressedAndCopiesExactly) {
  Buffer out;
  const Buffer data(1000, std::byte{3});
  EXPECT_FALSE(Compress(Codec::kRaw, 1, data, out));
  ASSERT_TRUE(DecodesInside(Codec::kRaw, data, data.size(), out));
  EXPECT_EQ(out, data);
  EXPECT_FALSE(DecodesInside(Codec::kRaw, data, data.size() - 1, out));
  EXPECT_FALSE(DecodesInside(Codec::kRaw, data, data.size() + 1, out));
}

TEST(RawCodecTest, UnknownCodecIsCorruption) {
  Buffer out;
  const Buffer data(10, std::byte{3});
  EXPECT_FALSE(DecodesInside(static_cast<Codec>(kCodecCount), data, data.size(), out));
}

TEST(ZstdLevelTest, AHigherLevelReadsBackTheSame) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = Compressible(random, 100000);
  for (const int level : {1, 3, 6, 12}) {
    Buffer stored;
    Buffer decoded;
    ASSERT_TRUE(Compress(Codec::kZstd, level, data, stored)) << level;
    ASSERT_TRUE(DecodesInside(Codec::kZstd, stored, data.size(), decoded)) << level;
    EXPECT_EQ(decoded, data) << level;
  }
}

TEST(ProbeTest, TellsTextFromNoise) {
  std::mt19937_64 random(TestSeed());
  for (const size_t size : {600, 4096, 4097, 40000}) {
    EXPECT_TRUE(ProbeCompressible(Compressible(random, size))) << size;
    EXPECT_FALSE(ProbeCompressible(RandomBytes(random, size))) << size;
  }
  EXPECT_FALSE(ProbeCompressible({}));
}

TEST(ProbeTest, LooksAtTheMiddle) {
  std::mt19937_64 random(TestSeed());
  Buffer data = RandomBytes(random, 40000);
  std::fill(data.begin(), data.begin() + 10000, std::byte{0});
  EXPECT_FALSE(ProbeCompressible(data));
  std::fill(data.begin() + 18000, data.begin() + 22000, std::byte{0});
  EXPECT_TRUE(ProbeCompressible(data));
}

}  // namespace
}  // namespace dedupfs
