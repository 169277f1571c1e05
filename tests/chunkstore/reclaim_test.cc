#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

class ReclaimTest : public StoreTest {
 protected:
  Random random_{TestSeed()};
};

TEST_F(ReclaimTest, AWhollyDeadPackGivesItsBytesBack) {
  const auto ids = Add({random_.Bytes(20000), random_.Bytes(20000)});
  const PackId pack = Info(ids[0]).location.pack;
  ASSERT_TRUE(Count(ids, -1));
  const auto freed = store_->Reclaim();
  ASSERT_TRUE(freed) << freed.error().message;
  EXPECT_GT(*freed, 40000u);
  EXPECT_FALSE(PackFileExists(pack));
  const auto stats = store_->Stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->pack_bytes, 0u);
  EXPECT_EQ(stats->packs, 0u);
  EXPECT_EQ(stats->dead_chunks, 0u);
  EXPECT_EQ(stats->dead_stored_bytes, 0u);
  EXPECT_EQ(ReadBack(ids[0], 10).error().code, ENOENT);
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

TEST_F(ReclaimTest, APackWithOneLiveChunkStays) {
  const std::string live = random_.Bytes(1000);
  const auto ids = Add({random_.Bytes(1000), live});
  ASSERT_TRUE(Count({ids[0]}, -1));
  const auto freed = store_->Reclaim();
  ASSERT_TRUE(freed);
  EXPECT_EQ(*freed, 0u);
  ExpectContent(ids[1], live);
}

TEST_F(ReclaimTest, APinKeepsADeadChunkAndALaterWriteRevivesIt) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content});
  const PackId pack = Info(ids[0]).location.pack;
  Pins pins;
  ASSERT_TRUE(store_->Pin(ids, pins));
  ASSERT_TRUE(Count(ids, -1));
  ASSERT_TRUE(store_->Reclaim());
  EXPECT_TRUE(PackFileExists(pack));
  ExpectContent(ids[0], content);
  EXPECT_EQ(Add({content}), ids);
  pins = Pins();
  ASSERT_TRUE(store_->Reclaim());
  ExpectContent(ids[0], content);
  ASSERT_TRUE(Count(ids, -1));
  ASSERT_TRUE(store_->Reclaim());
  EXPECT_FALSE(PackFileExists(pack));
}

TEST_F(ReclaimTest, ContentThatWasDroppedIsStoredAnew) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content});
  ASSERT_TRUE(Count(ids, -1));
  ASSERT_TRUE(store_->Reclaim());
  const auto again = Add({content});
  EXPECT_GT(again[0], ids[0]);
  ExpectContent(again[0], content);
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

TEST_F(ReclaimTest, UncommittedRecordsKeepTheirPack) {
  const std::string content = random_.Bytes(1000);
  const auto dead = Add({random_.Bytes(1000)});
  Pins pins;
  const auto ids = StoreAll({content}, pins);
  ASSERT_TRUE(ids);
  ASSERT_EQ(Info(ids->front()).location.pack, Info(dead[0]).location.pack);
  ASSERT_TRUE(Count(dead, -1));
  ASSERT_TRUE(store_->Reclaim());
  ASSERT_TRUE(Count(*ids, 1));
  pins = Pins();
  ExpectContent(ids->front(), content);
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

TEST_F(ReclaimTest, ACrashBetweenTheBatchAndTheUnlinkLeavesAFileThatGoesLater) {
  const std::string kept = random_.Bytes(1000);
  const auto ids = Add({random_.Bytes(1000)});
  const PackId pack = Info(ids[0]).location.pack;
  ASSERT_TRUE(Count(ids, -1));
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kRemove;
  env_.Inject(fault);
  const auto freed = store_->Reclaim();
  ASSERT_TRUE(freed);
  EXPECT_EQ(*freed, 0u);
  EXPECT_TRUE(PackFileExists(pack));
  PowerCut();
  EXPECT_EQ(Problems(), std::vector<std::string>());
  const auto kept_ids = Add({kept});
  ASSERT_TRUE(store_->Reclaim());
  EXPECT_FALSE(PackFileExists(pack));
  ExpectContent(kept_ids[0], kept);
}

TEST_F(ReclaimTest, APackIsRemovedOnlyOnceTheLossOfItsRowsIsDurable) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content});
  const PackId pack = Info(ids[0]).location.pack;
  // The end of the last use is not durable by itself: were the pack removed without syncing that,
  // the crash would bring the row back and not the file.
  ASSERT_TRUE(Count(ids, -1, Durability::kBuffered));
  ASSERT_TRUE(store_->Reclaim());
  ASSERT_FALSE(PackFileExists(pack));
  ASSERT_TRUE(env_.SyncDir(kPackDirectory));
  PowerCut();
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

TEST_F(ReclaimTest, AFileThatNothingNamesGoes) {
  {
    Pins pins;
    ASSERT_TRUE(StoreAll({random_.Bytes(1000)}, pins));
  }
  const auto freed = store_->Reclaim();
  ASSERT_TRUE(freed);
  EXPECT_GT(*freed, 1000u);
  const auto names = env_.List(kPackDirectory);
  ASSERT_TRUE(names);
  EXPECT_TRUE(names->empty());
}

TEST_F(ReclaimTest, ADamagedListingDoesNotLetAPackGoWithALiveChunk) {
  std::vector<std::string> contents;
  for (int i = 0; i < 10; ++i) contents.push_back(random_.Bytes(500));
  const auto ids = Add(contents);
  const Location first = Info(ids[0]).location;
  Reopen();
  // Cuts the listing off behind the first record; the row of the pack claims that all is dead.
  ASSERT_TRUE(env_.Truncate(PackPath(first.pack), first.end()));
  ASSERT_TRUE(Count({ids[0]}, -1));
  auto rows = LoadPackRows(*kv_, {&first.pack, 1});
  ASSERT_TRUE(rows && (*rows)[0].row);
  PackRow row = *(*rows)[0].row;
  row.live_chunks = row.live_bytes = 0;
  Batch batch;
  batch.Put(Family::kPack, BigU64(first.pack), EncodePackRow(row));
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  ASSERT_TRUE(store_->Reclaim());
  EXPECT_TRUE(PackFileExists(first.pack));
  EXPECT_EQ(Info(ids[5]).refcount, 1u);
}

TEST_F(ReclaimTest, ADeadPackWithADamagedListingGoesByItsRows) {
  std::vector<std::string> contents;
  for (int i = 0; i < 10; ++i) contents.push_back(random_.Bytes(500));
  const auto ids = Add(contents);
  const Location first = Info(ids[0]).location;
  Reopen();
  ASSERT_TRUE(env_.Truncate(PackPath(first.pack), first.end()));
  ASSERT_TRUE(Count(ids, -1));
  ASSERT_TRUE(store_->Reclaim());
  EXPECT_FALSE(PackFileExists(first.pack));
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

TEST_F(ReclaimTest, APackWhoseRowCannotBeReadStaysWithItsLiveChunks) {
  const auto texts = std::vector<std::string>{random_.Bytes(3000), random_.Bytes(3000)};
  const auto ids = Add(texts);
  PowerCut();  // leaves the pack unsealed
  const Location first = Info(ids[0]).location;
  ASSERT_TRUE(env_.FlipBit(PackPath(first.pack), first.offset + 1, 5));
  Batch batch;
  batch.Put(Family::kPack, BigU64(first.pack), "junk");
  ASSERT_TRUE(kv_->Write(batch, Durability::kSynced));
  ASSERT_TRUE(Count({ids[0]}, -1));
  static_cast<void>(store_->Reclaim());
  EXPECT_TRUE(PackFileExists(first.pack));
  ExpectContent(ids[1], texts[1]);
  EXPECT_FALSE(Problems().empty());
}

TEST_F(ReclaimTest, IsSafeBesideWritersOfTheSameContent) {
  std::vector<std::string> contents;
  for (int i = 0; i < 6; ++i) contents.push_back(random_.Bytes(700));
  constexpr int kThreads = 4;
  constexpr int kRounds = 80;
  std::vector<uint64_t> seeds(kThreads);
  for (uint64_t& seed : seeds) seed = random_.Next();
  std::atomic<int> running = kThreads;
  std::vector<std::thread> threads;
  threads.reserve(kThreads + 1);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(seeds[static_cast<size_t>(t)]);
      for (int round = 0; round < kRounds && !HasFailure(); ++round) {
        std::vector<std::string> mine;
        for (uint64_t n = random.Between(1, 3); n > 0; --n) {
          mine.push_back(contents[random.Below(contents.size())]);
        }
        const auto ids = Add(mine, Durability::kBuffered);
        for (size_t i = 0; i < ids.size(); ++i) ExpectContent(ids[i], mine[i]);
        const Status dropped = Count(ids, -1, Durability::kBuffered);
        EXPECT_TRUE(dropped) << dropped.error().message;
      }
      --running;
    });
  }
  uint64_t freed_bytes = 0;
  threads.emplace_back([&] {
    while (running > 0) {
      const auto freed = store_->Reclaim();
      EXPECT_TRUE(freed) << freed.error().message;
      freed_bytes += freed.value_or(0);
    }
  });
  for (std::thread& thread : threads) thread.join();
  const std::vector<std::pair<ChunkId, uint64_t>> none;
  EXPECT_EQ(Problems(&none), std::vector<std::string>());
  ASSERT_TRUE(store_->Reclaim());
  const auto stats = store_->Stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->pack_bytes, 0u);
  EXPECT_EQ(stats->packs, 0u);
  EXPECT_EQ(stats->dead_chunks, 0u);
  RecordProperty("freed_bytes", std::to_string(freed_bytes));
}

TEST_F(ReclaimTest, AFingerprintThatNamesAnotherChunkByThenIsKept) {
  const auto dead = Add({random_.Bytes(1000)});
  Reopen();
  const auto live = Add({random_.Bytes(1000)});
  const std::string key(Info(dead.front()).fingerprint.text());
  Batch batch;
  batch.Put(Family::kFingerprint, key, EncodeFingerprintEntry(live.front()));
  ASSERT_TRUE(kv_->Write(batch, Durability::kSynced));
  ASSERT_TRUE(Count(dead, -1));
  ASSERT_TRUE(store_->Reclaim());
  const auto rows = LoadChunkRows(*kv_, dead);
  ASSERT_TRUE(rows);
  EXPECT_FALSE(rows->front().row) << "the dead chunk was not dropped";
  const auto entry = kv_->Get(Family::kFingerprint, key);
  ASSERT_TRUE(entry && *entry);
  EXPECT_EQ(**entry, EncodeFingerprintEntry(live.front()));
}

TEST_F(ReclaimTest, ProgressCountsThePacksThatAreToGo) {
  const auto ids = Add({random_.Bytes(1000)});
  std::vector<std::pair<uint64_t, uint64_t>> told;
  const WorkProgress note = [&told](uint64_t done, uint64_t total) {
    told.emplace_back(done, total);
  };
  ASSERT_TRUE(store_->Reclaim(note));
  EXPECT_TRUE(told.empty()) << "nothing was to go";
  ASSERT_TRUE(Count(ids, -1));  // the open pack, which only this seals
  ASSERT_TRUE(store_->Reclaim(note));
  EXPECT_EQ(told, (std::vector<std::pair<uint64_t, uint64_t>>{{0, 1}}));
}

}  // namespace
}  // namespace dedupfs
