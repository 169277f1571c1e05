#include "chunkstore/chunking/fingerprint.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "chunkstore/chunking/fingerprint_shani.h"
#include "tests/chunking/random_data.h"

namespace dedupfs {
namespace {

// By OpenSSL's one-shot call, which shares no code with ours.
Fingerprint Oracle(Bytes data) {
  Fingerprint fp;
  EXPECT_EQ(EVP_Digest(data.data(), data.size(), fp.bytes.data(), nullptr, EVP_sha256(), nullptr),
            1);
  return fp;
}

struct Vector {
  std::string text;
  const char* hex;
};

// FIPS 180-4 examples of NIST, the empty message, and a million times "a".
std::vector<Vector> NistVectors() {
  return {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmn"
       "opqrsmnopqrstnopqrstu",
       "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
      {std::string(1000000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
}

TEST(FingerprintTest, NistVectorsGiveTheirDigests) {
  for (const Vector& vector : NistVectors()) {
    EXPECT_EQ(FingerprintOf(AsBytes(vector.text)).Hex(), vector.hex);
  }
}

TEST(FingerprintTest, PairsOfNistVectorsGiveTheirDigests) {
  const std::vector<Vector> vectors = NistVectors();
  for (const Vector& first : vectors) {
    for (const Vector& second : vectors) {
      Fingerprint a;
      Fingerprint b;
      FingerprintPair(AsBytes(first.text), AsBytes(second.text), a, b);
      EXPECT_EQ(a.Hex(), first.hex);
      EXPECT_EQ(b.Hex(), second.hex);
    }
  }
}

TEST(FingerprintTest, EveryLengthUpTo300AgreesWithTheOracle) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = RandomBytes(random, 300);
  for (size_t size = 0; size <= data.size(); ++size) {
    const Bytes text = Bytes(data).first(size);
    ASSERT_EQ(FingerprintOf(text), Oracle(text)) << size;
  }
}

TEST(FingerprintTest, ContextsOfDifferentThreadsDoNotMix) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = RandomBytes(random, 20000);
  const Fingerprint expected = Oracle(data);
  std::array<int, 4> wrong{};
  std::vector<std::thread> threads;
  threads.reserve(wrong.size());
  for (int& count : wrong) {
    threads.emplace_back([&data, &expected, &count] {
      for (int i = 0; i < 200; ++i) count += FingerprintOf(data) == expected ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, (std::array<int, 4>{}));
}

class ShaNiTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!CpuHasShaNi()) GTEST_SKIP() << "needs sha_ni: the processor lacks it";
  }

  static void ExpectPair(Bytes first, Bytes second) {
    Fingerprint a;
    Fingerprint b;
    Sha256PairShaNi(AsU8(first), first.size(), AsU8(second), second.size(), a.bytes.data(),
                    b.bytes.data());
    ASSERT_EQ(a, Oracle(first)) << first.size() << " beside " << second.size();
    ASSERT_EQ(b, Oracle(second)) << second.size() << " beside " << first.size();
  }
};

TEST_F(ShaNiTest, EveryPairOfLengthsAroundABlockAgreesWithTheOracle) {
  std::mt19937_64 random(TestSeed());
  const Buffer first = RandomBytes(random, 300);
  const Buffer second = RandomBytes(random, 300);
  for (size_t size = 0; size <= 300; ++size) {
    for (const size_t other : {0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 300}) {
      ASSERT_NO_FATAL_FAILURE(ExpectPair(Bytes(first).first(size), Bytes(second).first(other)));
      ASSERT_NO_FATAL_FAILURE(ExpectPair(Bytes(second).first(other), Bytes(first).first(size)));
    }
  }
}

TEST_F(ShaNiTest, RandomPairsOfChunksAgreeWithTheOracle) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = RandomBytes(random, 1 << 20);
  for (int i = 0; i < 200; ++i) {
    const auto chunk = [&] {
      const size_t start = RandomUpTo(random, data.size() / 2);
      return Bytes(data).subspan(start, RandomUpTo(random, 60000));
    };
    ASSERT_NO_FATAL_FAILURE(ExpectPair(chunk(), chunk()));
  }
}

TEST(FingerprintTest, HexIsLowerCaseFromTheFirstByteOn) {
  Fingerprint fp;
  fp.bytes[0] = 0xA1;
  fp.bytes[31] = 0x0F;
  EXPECT_EQ(fp.Hex(), "a1" + std::string(60, '0') + "0f");
}

// The value of the XXH3 specification's reference for the empty text: packs store it, so it is
// part of their format.
TEST(ChecksumTest, IsXxh3OfTheEmptyText) {
  EXPECT_EQ(Checksum({}), 0x2D06800538D394C2u);
  const std::array<Bytes, 2> empty{};
  EXPECT_EQ(Checksum(empty), 0x2D06800538D394C2u);
}

TEST(ChecksumTest, PiecesCountAsOneText) {
  std::mt19937_64 random(TestSeed());
  const Buffer data = RandomBytes(random, 2000);
  for (int i = 0; i < 500; ++i) {
    const Bytes text = Bytes(data).first(RandomUpTo(random, data.size()));
    const size_t a = RandomUpTo(random, text.size());
    const size_t b = a + RandomUpTo(random, text.size() - a);
    const std::array<Bytes, 1> whole{text};
    const std::array<Bytes, 3> pieces{text.first(a), text.subspan(a, b - a), text.subspan(b)};
    ASSERT_EQ(Checksum(pieces), Checksum(whole));
  }
}

TEST(ChecksumTest, AFlippedBitChangesIt) {
  std::mt19937_64 random(TestSeed());
  Buffer data = RandomBytes(random, 400);
  const std::array<Bytes, 1> view{Bytes(data)};
  const uint64_t before = Checksum(view);
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_NE(Checksum(view), before) << bit;
    data[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

}  // namespace
}  // namespace dedupfs
