#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "chunkstore/chunk_cache.h"
#include "chunkstore/encode_chunks.h"
#include "chunkstore/locality_cache.h"
#include "chunkstore/space_guard.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

Fingerprint Fp(uint8_t pack, uint8_t n) {
  Fingerprint fp;
  fp.bytes[0] = n;
  fp.bytes[1] = pack;
  return fp;
}

std::vector<PackEntry> EntriesOf(uint8_t pack, uint8_t count) {
  std::vector<PackEntry> entries(count);
  for (uint8_t i = 0; i < count; ++i) {
    entries[i].header.id = pack * 100u + i;
    entries[i].header.fingerprint = Fp(pack, i);
  }
  return entries;
}

TEST(LocalityCacheTest, ForgetsThePackThatWasUsedLongestAgo) {
  LocalityCache cache(20 * LocalityCache::kEntryBytes);
  cache.Insert(1, EntriesOf(1, 10));
  cache.Insert(2, EntriesOf(2, 10));
  EXPECT_EQ(cache.Find(Fp(1, 3)), 103u);
  cache.Insert(3, EntriesOf(3, 10));
  EXPECT_EQ(cache.Find(Fp(1, 3)), 103u);
  EXPECT_FALSE(cache.Find(Fp(2, 3)));
  EXPECT_FALSE(cache.Has(2));
  EXPECT_EQ(cache.Find(Fp(3, 9)), 309u);
}

TEST(LocalityCacheTest, AnEvictedPackLeavesNothingBehind) {
  LocalityCache cache(1 << 20);
  cache.Insert(1, EntriesOf(1, 10));
  cache.Evict(1);
  EXPECT_FALSE(cache.Has(1));
  EXPECT_FALSE(cache.Find(Fp(1, 3)));
}

TEST(LocalityCacheTest, ALaterPackOfTheSameContentKeepsItsEntry) {
  LocalityCache cache(1 << 20);
  auto later = EntriesOf(1, 10);
  later[3].header.id = 999;
  cache.Insert(1, EntriesOf(1, 10));
  cache.Insert(2, later);
  cache.Evict(1);
  EXPECT_EQ(cache.Find(Fp(1, 3)), 999u);
}

TEST(ChunkCacheTest, StaysWithinItsBudget) {
  ChunkCache cache(16 * 10000);
  std::vector<std::weak_ptr<const Buffer>> values;
  for (ChunkId id = 1; id <= 1000; ++id) {
    const auto value = std::make_shared<const Buffer>(1000);
    values.emplace_back(value);
    cache.Insert(id, value);
  }
  uint64_t bytes = 0;
  for (const auto& value : values) bytes += value.expired() ? 0 : 1000;
  EXPECT_LE(bytes, 160000u);
  EXPECT_GE(bytes, 80000u);
  EXPECT_TRUE(cache.Find(1000));
  EXPECT_FALSE(cache.Find(1));
}

TEST(ChunkCacheTest, AnEvictedChunkIsGone) {
  ChunkCache cache(1 << 20);
  cache.Insert(5, std::make_shared<const Buffer>(10));
  EXPECT_TRUE(cache.Find(5));
  cache.Evict(std::vector<ChunkId>{5});
  EXPECT_FALSE(cache.Find(5));
}

TEST(SpaceGuardTest, KeepsTheReserve) {
  FaultEnv env;
  SpaceInfo space;
  space.total = 1000;
  space.free = space.available = 500;
  env.SetSpace(space);
  SpaceGuard guard(env, "/", 400);
  EXPECT_TRUE(guard.Check(100));
  const Status full = guard.Check(101);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ENOSPC);
}

TEST(SpaceGuardTest, SeesAtOnceThatADiskHasRoomAgain) {
  FaultEnv env;
  SpaceInfo space;
  space.total = 1000;
  env.SetSpace(space);
  SpaceGuard guard(env, "/", 0);
  EXPECT_FALSE(guard.Check(1));
  space.available = space.free = 10;
  env.SetSpace(space);
  EXPECT_TRUE(guard.Check(1));
}

TEST(SpaceGuardTest, CountsWhatItGrantedSinceItAsked) {
  FaultEnv env;
  SpaceInfo space;
  space.total = space.free = space.available = 33ull << 20;
  env.SetSpace(space);
  SpaceGuard guard(env, "/", 0);
  const uint64_t before = env.Calls(FaultEnv::Op::kSpace);
  EXPECT_TRUE(guard.Check(20ull << 20));
  EXPECT_TRUE(guard.Check(20ull << 20)) << "the disk itself still has all of its room";
  EXPECT_EQ(env.Calls(FaultEnv::Op::kSpace) - before, 2u);
}

TEST(EncodeChunksTest, AFileThatDoesNotCompressIsProbedOnlyNowAndThen) {
  ThreadPool pool("test", 2);
  Random random(TestSeed());
  const std::string noise = random.Bytes(8192);
  const std::string text(8192, 'x');
  CodecHint hint;
  std::vector<EncodedChunk> chunks(3);
  for (EncodedChunk& chunk : chunks) {
    chunk.data = AsBytes(noise);
    chunk.hint = &hint;
  }
  EncodeChunks(pool, chunks);
  EXPECT_EQ(hint.verdict, CodecHint::Verdict::kRaw);
  std::vector<EncodedChunk> compressible(100);
  for (EncodedChunk& chunk : compressible) {
    chunk.data = AsBytes(text);
    chunk.hint = &hint;
  }
  EncodeChunks(pool, compressible);
  EXPECT_EQ(compressible.front().codec, Codec::kRaw);
  EXPECT_EQ(compressible.back().codec, Codec::kLz4);
  EXPECT_LT(compressible.back().stored.size(), text.size());
}

}  // namespace
}  // namespace dedupfs
