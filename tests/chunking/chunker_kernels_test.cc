#include "chunkstore/chunking/chunker_kernels.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "chunkstore/base/bytes.h"
#include "tests/chunking/random_data.h"

namespace dedupfs {
namespace {

struct Kernel {
  const char* name;
  const char* needs;
  size_t (*find_cut)(const uint8_t*, size_t, size_t);
  bool (*runs_here)();
};

class ChunkerKernelTest : public testing::TestWithParam<Kernel> {
 protected:
  void SetUp() override {
    if (!GetParam().runs_here()) {
      GTEST_SKIP() << "needs " << GetParam().needs << ": the processor lacks it";
    }
  }

  // Compares over a copy that ends where the kernel may read no further, so that a sanitizer sees
  // it if it does.
  void ExpectAgrees(Bytes data, size_t first, size_t last) {
    const Buffer copy(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(last));
    const size_t expected = FindCutScalar(AsU8(Bytes(copy)), first, last);
    ASSERT_EQ(GetParam().find_cut(AsU8(Bytes(copy)), first, last), expected)
        << "first " << first << ", last " << last;
  }
};

uint32_t Hash(uint32_t word) { return kCutFactor * word + kCutOffset; }

TEST(ChunkerTest, CommonRunsHashHigh) {
  EXPECT_GE(Hash(0x00000000), 0xF0000000);
  EXPECT_GE(Hash(0x20202020), 0xF0000000);
  EXPECT_GE(Hash(0xFFFFFFFF), 0xF0000000);
  EXPECT_EQ(kCutFactor % 2, 1u);
}

TEST(ChunkerTest, ScalarCutIsTheEarliestLeastHashOfTheFourBytesBefore) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = RandomBytes(random, 300);
  size_t expected = 0;
  uint64_t least = uint64_t{1} << 32;
  for (size_t p = 10; p <= 300; ++p) {
    uint32_t word = 0;
    for (size_t i = 0; i < 4; ++i) {
      word |= std::to_integer<uint32_t>(data[p - 4 + i]) << (8 * i);
    }
    if (Hash(word) < least) {
      least = Hash(word);
      expected = p;
    }
  }
  EXPECT_EQ(FindCutScalar(AsU8(Bytes(data)), 10, 300), expected);
}

// A stored file depends on these cuts: a change of the hash must not pass unseen.
TEST(ChunkerTest, CutOfAKnownTextStaysWhatItWas) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += std::to_string(i * i) + ",";
  const Bytes data = AsBytes(text);
  EXPECT_EQ(FindCutScalar(AsU8(data), 4, data.size()), 5605u);
}

TEST_P(ChunkerKernelTest, AgreesOnRandomDataAtEveryAlignmentAndLength) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = RandomBytes(random, 1024);
  for (size_t first = 4; first < 4 + 64; ++first) {
    for (size_t last = first; last < first + 200; ++last) {
      ASSERT_NO_FATAL_FAILURE(ExpectAgrees(data, first, last));
    }
  }
  for (int i = 0; i < 2000; ++i) {
    const size_t first = 4 + RandomUpTo(random, 500);
    const size_t last = first + RandomUpTo(random, data.size() - first);
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(data, first, last));
  }
}

TEST_P(ChunkerKernelTest, AgreesOnUnalignedStarts) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = RandomBytes(random, 70000);
  for (size_t shift = 0; shift < 64; ++shift) {
    const uint8_t* const start = AsU8(Bytes(data)) + shift;
    ASSERT_EQ(GetParam().find_cut(start, 13107, 52428), FindCutScalar(start, 13107, 52428))
        << "shift " << shift;
  }
}

TEST_P(ChunkerKernelTest, AgreesOnConstantDataWhereTheFirstPositionWins) {
  for (int value = 0; value < 256; ++value) {
    const Buffer data(1000, static_cast<std::byte>(value));
    ASSERT_EQ(GetParam().find_cut(AsU8(Bytes(data)), 100, 1000), 100u) << "value " << value;
  }
}

TEST_P(ChunkerKernelTest, AgreesOnPeriodicDataWhereTheEarliestOfManyTiesWins) {
  std::mt19937_64 random(TestSeed());
  for (size_t period = 1; period <= 130; ++period) {
    const Buffer unit = RandomBytes(random, period);
    Buffer data(2000);
    for (size_t i = 0; i < data.size(); ++i) data[i] = unit[i % period];
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(data, 100, 2000)) << "period " << period;
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(data, 101, 1937)) << "period " << period;
  }
}

TEST_P(ChunkerKernelTest, AgreesOnDataOfTwoValuesWhereTiesAreCommon) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 500; ++round) {
    Buffer data = RandomBytes(random, 400);
    for (std::byte& byte : data) byte &= std::byte{1};
    ASSERT_NO_FATAL_FAILURE(ExpectAgrees(data, 4 + RandomUpTo(random, 100), 400));
  }
}

TEST_P(ChunkerKernelTest, FindsTheLeastHashWhereverItIs) {
  // The word whose hash is 0, by the inverse of the factor modulo 2^32 (Newton's iteration).
  uint32_t inverse = kCutFactor;
  for (int i = 0; i < 5; ++i) inverse *= 2 - kCutFactor * inverse;
  const uint32_t word = inverse * (0 - kCutOffset);
  ASSERT_EQ(Hash(word), 0u);
  for (size_t p = 20; p <= 320; ++p) {
    Buffer data(320, std::byte{0});
    for (size_t i = 0; i < 4; ++i) data[p - 4 + i] = static_cast<std::byte>(word >> (8 * i));
    ASSERT_EQ(GetParam().find_cut(AsU8(Bytes(data)), 20, 320), p);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ChunkerKernelTest,
                         testing::Values(Kernel{"Avx2", "avx2", FindCutAvx2, CpuHasAvx2},
                                         Kernel{"Avx512", "avx512", FindCutAvx512, CpuHasAvx512}),
                         [](const testing::TestParamInfo<Kernel>& kernel) {
                           return std::string(kernel.param.name);
                         });

}  // namespace
}  // namespace dedupfs
