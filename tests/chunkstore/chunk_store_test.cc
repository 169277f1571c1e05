#include "chunkstore/chunk_store.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <thread>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

class ChunkStoreTest : public StoreTest {
 protected:
  Random random_{TestSeed()};
};

TEST_F(ChunkStoreTest, OneContentInOneCallIsOneChunk) {
  const std::string a = random_.Bytes(5000);
  const std::string b = random_.Bytes(5000);
  const auto ids = Add({a, b, a, a});
  ASSERT_EQ(ids.size(), 4u);
  EXPECT_EQ(ids[0], ids[2]);
  EXPECT_EQ(ids[0], ids[3]);
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_EQ(Info(ids[0]).refcount, 3u);
  ExpectContent(ids[0], a);
  ExpectContent(ids[1], b);
}

TEST_F(ChunkStoreTest, TheIdsOfNewChunksAreConsecutiveInTheirOrder) {
  std::vector<std::string> contents;
  for (int i = 0; i < 50; ++i) contents.push_back(random_.Bytes(100));
  const auto ids = Add(contents);
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_EQ(ids[i], ids[i - 1] + 1);
}

TEST_F(ChunkStoreTest, ContentIsFoundAgainBeforeAndAfterItsCommitAndAReopen) {
  const std::string content = random_.Bytes(5000);
  ChunkId id = 0;
  {
    Pins first;
    Pins second;
    const auto ids = StoreAll({content}, first);
    const auto again = StoreAll({content}, second);
    ASSERT_TRUE(ids && again);
    EXPECT_EQ(*ids, *again);
    id = ids->front();
    ASSERT_TRUE(Count(*ids, 1));
  }
  EXPECT_EQ(Add({content}), std::vector{id});
  Reopen();
  EXPECT_EQ(Add({content}), std::vector{id});
  EXPECT_EQ(Info(id).refcount, 3u);
  ExpectContent(id, content);
}

TEST_F(ChunkStoreTest, ARunOfDuplicatesIsFoundThroughTheLocalityCacheToo) {
  std::vector<std::string> contents;
  for (int i = 0; i < 200; ++i) contents.push_back(random_.Bytes(300));
  const auto ids = Add(contents);
  Reopen();
  const std::vector<std::string> half(contents.begin(), contents.begin() + 100);
  EXPECT_EQ(Add(half), std::vector(ids.begin(), ids.begin() + 100));
  EXPECT_EQ(Add(contents), ids);
  EXPECT_TRUE(Problems().empty());
}

TEST_F(ChunkStoreTest, ConcurrentCallersGetOneIdForEachContent) {
  std::vector<std::string> contents;
  for (int i = 0; i < 60; ++i) contents.push_back(random_.Bytes(200));
  constexpr size_t kThreads = 6;
  std::vector<std::vector<ChunkId>> got(kThreads);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::vector<std::string> mine = contents;
      std::rotate(mine.begin(), mine.begin() + static_cast<ptrdiff_t>(t * 10), mine.end());
      got[t] = Add(mine, Durability::kBuffered);
      std::rotate(got[t].begin(), got[t].end() - static_cast<ptrdiff_t>(t * 10), got[t].end());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 1; t < kThreads; ++t) EXPECT_EQ(got[t], got[0]);
  EXPECT_EQ(std::set<ChunkId>(got[0].begin(), got[0].end()).size(), contents.size());
  const auto stats = store_->Stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->chunks, contents.size());
  EXPECT_EQ(stats->logical_bytes, kThreads * contents.size() * 200);
  EXPECT_TRUE(Problems().empty());
}

TEST_F(ChunkStoreTest, AnUncommittedChunkIsReadableThroughItsPin) {
  const std::string content = random_.Bytes(5000);
  Pins pins;
  const auto ids = StoreAll({content}, pins);
  ASSERT_TRUE(ids);
  ExpectContent(ids->front(), content);
  std::string middle(100, '\0');
  const std::vector<ChunkStore::ReadItem> items = {
      {ids->front(), 1000, {reinterpret_cast<std::byte*>(middle.data()), middle.size()}}};
  ASSERT_TRUE(store_->ReadMany(items));
  EXPECT_EQ(middle, content.substr(1000, 100));
}

TEST_F(ChunkStoreTest, WhatWasNotCommittedIsForgottenWithItsLastPin) {
  const std::string content = random_.Bytes(5000);
  ChunkId id = 0;
  {
    Pins pins;
    const auto ids = StoreAll({content}, pins);
    ASSERT_TRUE(ids);
    id = ids->front();
  }
  const auto read = ReadBack(id, content.size());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ENOENT);
  const auto again = Add({content});
  EXPECT_NE(again.front(), id);
  ExpectContent(again.front(), content);
}

TEST_F(ChunkStoreTest, MovedAndMergedPinsHoldAsLongAsTheirLastOwner) {
  const std::string content = random_.Bytes(500);
  Pins outer;
  {
    Pins inner;
    ASSERT_TRUE(StoreAll({content}, inner));
    Pins moved = std::move(inner);
    outer.Merge(std::move(moved));
  }
  EXPECT_EQ(outer.size(), 1u);
  Pins other;
  const auto ids = StoreAll({content}, other);
  ASSERT_TRUE(ids);
  outer = Pins();
  ExpectContent(ids->front(), content);
}

TEST_F(ChunkStoreTest, LargeCallsGoThroughInSlices) {
  std::vector<std::string> contents;
  for (int i = 0; i < 50; ++i) contents.push_back(random_.Bytes(kLargestChunk));
  contents.push_back(contents.front());
  const auto ids = Add(contents);
  ASSERT_EQ(ids.size(), contents.size());
  EXPECT_EQ(ids.front(), ids.back());
  ExpectContent(ids[30], contents[30]);
}

TEST_F(ChunkStoreTest, CompressedChunksReadBackAndCountTheirStoredLength) {
  std::string text;
  while (text.size() < 40000) text += "all work and no play makes a dull store " + text;
  text.resize(40000);
  const auto ids = Add({text});
  const ChunkInfo info = Info(ids.front());
  EXPECT_LT(info.location.stored, info.raw);
  ExpectContent(ids.front(), text);
  const auto stats = store_->Stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->unique_bytes, 40000u);
  EXPECT_EQ(stats->stored_bytes, info.location.stored);
  EXPECT_EQ(stats->packs, 1u);
  EXPECT_GT(stats->pack_bytes, stats->stored_bytes);
}

TEST_F(ChunkStoreTest, AFullDiskIsEnospcAndLeavesNothing) {
  SpaceInfo space;
  space.total = 1000000;
  space.available = space.free = 1000;
  env_.SetSpace(space);
  Pins pins;
  const std::string content = random_.Bytes(5000);
  const auto refused = StoreAll({content}, pins);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOSPC);
  EXPECT_EQ(pins.size(), 0u);
  EXPECT_TRUE(store_->Failure());
  space.available = space.free = 1000000;
  env_.SetSpace(space);
  ExpectContent(Add({content}).front(), content);
}

TEST_F(ChunkStoreTest, EnospcOfTheAppendLeavesNothingAndTheStoreGoesOn) {
  const std::string before = random_.Bytes(3000);
  const auto kept = Add({before});
  const std::string content = random_.Bytes(5000);
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kAppend;
  fault.code = ENOSPC;
  fault.short_append = true;
  env_.Inject(fault);
  Pins pins;
  const auto refused = StoreAll({content, before}, pins);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOSPC);
  EXPECT_EQ(pins.size(), 0u);
  EXPECT_TRUE(store_->Failure());
  const auto ids = Add({content, before});
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_EQ(ids[1], kept[0]);
  ExpectContent(ids[0], content);
  ExpectContent(kept[0], before);
  EXPECT_TRUE(Problems().empty());
}

TEST_F(ChunkStoreTest, AnErrorAboutOurOwnFilesIsEioToTheCaller) {
  const auto ids = Add({random_.Bytes(3000)});
  Reopen();
  for (const int code : {EMFILE, ENOENT, EACCES}) {
    FaultEnv::Fault fault;
    fault.op = FaultEnv::Op::kCreate;
    fault.code = code;
    env_.Inject(fault);
    Pins pins;
    const auto stored = StoreAll({random_.Bytes(100)}, pins);
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, EIO) << stored.error().message;
    env_.ClearFaults();
    Reopen();
  }
}

TEST_F(ChunkStoreTest, AnotherErrorOfTheAppendMakesTheStoreReadOnly) {
  const std::string before = random_.Bytes(3000);
  const auto kept = Add({before});
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kAppend;
  env_.Inject(fault);
  Pins pins;
  EXPECT_FALSE(StoreAll({random_.Bytes(100)}, pins));
  const Status failure = store_->Failure();
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().code, EROFS);
  const Status commit = Count(kept, 1);
  ASSERT_FALSE(commit);
  EXPECT_EQ(commit.error().code, EROFS);
  ExpectContent(kept.front(), before);
}

TEST_F(ChunkStoreTest, AReadOnlyStoreReadsAndRefusesToWrite) {
  const std::string content = random_.Bytes(3000);
  const auto ids = Add({content});
  options_.read_only = true;
  Reopen();
  ExpectContent(ids.front(), content);
  Pins pins;
  const auto stored = StoreAll({content}, pins);
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, EROFS);
  EXPECT_EQ(Count(ids, -1).error().code, EROFS);
  EXPECT_FALSE(store_->Reclaim());
}

TEST_F(ChunkStoreTest, ReadsOutsideOfTheChunkAndOfNoChunkAreErrors) {
  const auto ids = Add({random_.Bytes(100)});
  std::string out(60, '\0');
  const MutableBytes bytes{reinterpret_cast<std::byte*>(out.data()), out.size()};
  EXPECT_TRUE(store_->Read(ids.front(), 40, bytes));
  EXPECT_EQ(store_->Read(ids.front(), 41, bytes).error().code, EINVAL);
  EXPECT_EQ(store_->Read(ids.front(), 0xFFFFFFFF, bytes).error().code, EINVAL);
  EXPECT_EQ(store_->Read(123456, 0, bytes).error().code, ENOENT);
  Pins pins;
  const std::vector<ChunkId> nobody = {ids.front(), 123456};
  EXPECT_EQ(store_->Pin(nobody, pins).error().code, ENOENT);
  EXPECT_EQ(pins.size(), 0u);
}

TEST_F(ChunkStoreTest, AnEmptyOrTooLargeChunkIsRefused) {
  Pins pins;
  EXPECT_EQ(StoreAll({""}, pins).error().code, EINVAL);
  EXPECT_EQ(StoreAll({std::string(kLargestChunk + 1, 'x')}, pins).error().code, EINVAL);
}

TEST_F(ChunkStoreTest, ChunkThatWasReadInPartAnswersTheRestWithoutTheDisk) {
  options_.chunk_cache_bytes = 16 << 20;
  Reopen();
  const std::string content = random_.Bytes(3000);
  const auto ids = Add({content});
  Buffer first(1000);
  ASSERT_TRUE(store_->Read(ids.front(), 0, first));
  const uint64_t reads = env_.Calls(FaultEnv::Op::kReadAt);
  ExpectContent(ids.front(), content);
  EXPECT_EQ(env_.Calls(FaultEnv::Op::kReadAt), reads);
}

}  // namespace
}  // namespace dedupfs
