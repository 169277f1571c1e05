#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/chunkstore/scrub_fixture.h"

namespace dedupfs {
namespace {

class ScrubTest : public ScrubFixture {
 protected:
  // Changes bytes on the disk into others.
  void Overwrite(PackId pack, uint64_t offset, const std::string& bytes) {
    const auto file = env_.OpenForRead(PackPath(pack));
    ASSERT_TRUE(file);
    std::string old(bytes.size(), '\0');
    ASSERT_TRUE((*file)->ReadAt(offset, {reinterpret_cast<std::byte*>(old.data()), old.size()}));
    for (size_t i = 0; i < bytes.size(); ++i) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        if ((((old[i] ^ bytes[i]) >> bit) & 1) == 0) continue;
        ASSERT_TRUE(env_.FlipBit(PackPath(pack), offset + i, bit));
      }
    }
  }
};

TEST_F(ScrubTest, ASoundStoreIsVerifiedWholeAndTheEndOfThePassIsKept) {
  auto contents = Noise(20, 500);
  const auto texts = Texts(20, 3000);
  contents.insert(contents.end(), texts.begin(), texts.end());
  Add(contents);
  AddInPacks(Noise(2, 700));
  const ScrubStatus status = Scrub();
  ASSERT_EQ(status.state, ScrubStatus::State::kFinished) << status.error;
  EXPECT_EQ(status.record.chunks, 42u);
  EXPECT_EQ(status.record.damaged, 0u);
  EXPECT_EQ(status.record.packs_done, status.record.packs_total);
  EXPECT_EQ(status.record.bytes_done, status.record.bytes_total);
  EXPECT_EQ(status.run_bytes, status.record.bytes_total);
  Reopen();
  const auto later = store_->WaitForScrub(std::chrono::milliseconds(0));
  ASSERT_TRUE(later);
  EXPECT_EQ(later->state, ScrubStatus::State::kNone);
  EXPECT_EQ(later->record, status.record);
  EXPECT_GE(later->record.last.finished_s, later->record.last.started_s);
  EXPECT_GT(later->record.last.started_s, 0u);
}

TEST_F(ScrubTest, AnEmptyStoreHasNoDamage) { EXPECT_EQ(DamagedBy(), 0u); }

TEST_F(ScrubTest, AFlipInALiveRecordCondemnsThatChunkAlone) {
  const auto contents = Noise(9, 500);
  const auto ids = Add(contents);
  Flip(ids[4]);
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>{ids[4]});
  for (ChunkId id : ids) EXPECT_EQ(Info(id).condemned, id == ids[4]);
  EXPECT_EQ(store_->Stats()->damaged_chunks, 1u);
  Reopen();
  EXPECT_EQ(Damaged(), std::vector<ChunkId>{ids[4]}) << "the mark was lost";
}

TEST_F(ScrubTest, ADeadChunkThatAWriteMightReviveIsVerifiedToo) {
  const auto contents = Noise(2, 500);
  const auto ids = Add(contents);
  ASSERT_TRUE(Count({ids[0]}, -1));
  Flip(ids[0]);
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_TRUE(Info(ids[0]).condemned);
  const auto again = Add({contents[0]});
  ExpectContent(again[0], contents[0]);
  EXPECT_EQ(DamagedBy(), 0u);
}

TEST_F(ScrubTest, ARecordThatNoRowNamesIsNoDamage) {
  const auto contents = Noise(2, 500);
  const auto ids = Add(contents);
  Flip(ids[0]);
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_EQ(Add({contents[0]})[0], ids[0]);
  // What is still wrong is the old record, which nothing reads any more.
  EXPECT_EQ(DamagedBy(), 0u);
  ExpectContents(ids, contents);
}

TEST_F(ScrubTest, ContentOfAnotherSha256IsDamageWhateverItsChecksumSays) {
  const auto contents = Noise(2, 600);
  const auto ids = Add(contents);
  const ChunkInfo info = Info(ids[0]);
  const std::string other = random_.Bytes(600);
  const RecordHeader header{ids[0], info.fingerprint, Codec::kRaw, 600, 600};
  Overwrite(info.location.pack, info.location.offset,
            EncodeRecordHeader(header, AsBytes(other)) + other);
  ExpectContent(ids[0], other);  // a read alone does not see it
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>{ids[0]});
}

TEST_F(ScrubTest, TheNextWriteOfTheContentHealsAndTheNextScrubSeesIt) {
  const auto contents = Noise(3, 800);
  const auto ids = Add(contents);
  Flip(ids[1]);
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_EQ(store_->Stats()->healed_chunks, 0u);
  EXPECT_EQ(Add({contents[1]})[0], ids[1]);
  EXPECT_EQ(store_->Stats()->healed_chunks, 1u);
  EXPECT_EQ(store_->Stats()->damaged_chunks, 0u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>());
  EXPECT_EQ(DamagedBy(), 0u);
  ExpectContents(ids, contents);
  ExpectSound();
}

TEST_F(ScrubTest, DamageThatAReadMeetsIsListedAndAgainByTheNextScrub) {
  const auto contents = Noise(3, 800);
  const auto ids = Add(contents);
  Flip(ids[2]);
  EXPECT_FALSE(ReadBack(ids[2], 800));
  EXPECT_EQ(Damaged(), std::vector<ChunkId>{ids[2]});
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>{ids[2]});
}

TEST_F(ScrubTest, AMarkThatIsNotListedIsListedByTheNextScrub) {
  const auto ids = Add(Noise(1, 800));
  Flip(ids[0]);
  EXPECT_EQ(DamagedBy(), 1u);
  Batch batch;
  batch.Delete(Family::kMeta, "condemned/" + BigU64(ids[0]));
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  EXPECT_EQ(Damaged(), std::vector<ChunkId>());
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_EQ(Damaged(), ids);
}

TEST_F(ScrubTest, AChunkThatIsWholeAgainIsAbsolved) {
  const auto contents = Noise(3, 800);
  const auto ids = Add(contents);
  Flip(ids[0]);
  EXPECT_EQ(DamagedBy(), 1u);
  Flip(ids[0]);  // the disk has come to its senses
  EXPECT_EQ(DamagedBy(), 0u);
  EXPECT_FALSE(Info(ids[0]).condemned);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>());
  EXPECT_EQ(store_->Stats()->healed_chunks, 1u);
}

TEST_F(ScrubTest, ADamagedChunkThatIsDroppedIsNotListedAnyMore) {
  const auto ids = Add(Noise(1, 800));
  Flip(ids[0]);
  EXPECT_EQ(DamagedBy(), 1u);
  ASSERT_TRUE(Count(ids, -1));
  ASSERT_TRUE(store_->Reclaim());
  EXPECT_EQ(Damaged(), std::vector<ChunkId>());
  EXPECT_EQ(DamagedBy(), 0u);
}

TEST_F(ScrubTest, AMissingPackCondemnsAllOfItsChunksAndNoOthers) {
  const auto lost = Noise(10, 500);
  const auto lost_ids = Add(lost);
  Reopen();
  const auto kept = Noise(5, 500);
  const auto kept_ids = Add(kept);
  Reopen();
  ASSERT_TRUE(env_.Remove(PackPath(PackOf(lost_ids[0]))));
  EXPECT_EQ(DamagedBy(), 10u);
  EXPECT_EQ(Damaged(), lost_ids);
  ExpectContents(kept_ids, kept);
  EXPECT_EQ(Add(lost), lost_ids);
  EXPECT_EQ(DamagedBy(), 0u);
  ExpectContents(lost_ids, lost);
}

TEST_F(ScrubTest, ATruncatedPackCondemnsWhatLayBehindItsEnd) {
  const auto contents = Noise(10, 500);
  const auto ids = Add(contents);
  Reopen();
  const Location sixth = Info(ids[5]).location;
  ASSERT_TRUE(env_.Truncate(PackPath(sixth.pack), sixth.offset + 100));
  EXPECT_EQ(DamagedBy(), 5u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>(ids.begin() + 5, ids.end()));
}

TEST_F(ScrubTest, ADamagedTableOfContentsHidesNoChunk) {
  const auto contents = Noise(10, 500);
  const auto ids = Add(contents);
  Reopen();
  Flip(ids[2]);  // which ends the listing by records
  const Location last = Info(ids[9]).location;
  ASSERT_TRUE(env_.FlipBit(PackPath(last.pack), last.end() + 20, 3));
  Flip(ids[8]);
  const ScrubStatus status = Scrub();
  EXPECT_EQ(status.record.damaged, 2u);
  EXPECT_EQ(status.record.chunks, 10u);
  EXPECT_EQ(Damaged(), (std::vector<ChunkId>{ids[2], ids[8]}));
}

TEST_F(ScrubTest, AnErrorThatIsNoDamageFailsTheScrubAndCondemnsNothing) {
  const auto ids = Add(Noise(3, 500));
  Reopen();
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kReadAt;
  fault.code = ENOMEM;
  fault.sticky = true;
  env_.Inject(fault);
  const ScrubStatus status = Scrub();
  EXPECT_EQ(status.state, ScrubStatus::State::kFailed);
  EXPECT_FALSE(status.error.empty());
  env_.ClearFaults();
  EXPECT_EQ(Damaged(), std::vector<ChunkId>());
  EXPECT_EQ(DamagedBy(), 0u);
}

TEST_F(ScrubTest, ACancelledScrubEndsAndTheNextGoesOn) {
  AddInPacks(Noise(3, 5000));
  ASSERT_TRUE(store_->StartScrub({.bytes_per_second = 1}));
  store_->CancelScrub();
  EXPECT_EQ(Wait().state, ScrubStatus::State::kCancelled);
  const ScrubStatus status = Scrub();
  EXPECT_EQ(status.state, ScrubStatus::State::kFinished);
  EXPECT_EQ(status.record.chunks, 3u);
}

TEST_F(ScrubTest, ARunningScrubTakesANewRateAndNoRestart) {
  AddInPacks(Noise(3, 5000));
  ASSERT_TRUE(store_->StartScrub({.bytes_per_second = 1}));
  EXPECT_EQ(store_->StartScrub({.restart = true}).error().code, EBUSY);
  ASSERT_TRUE(store_->StartScrub({}));
  EXPECT_EQ(Wait().state, ScrubStatus::State::kFinished);
}

TEST_F(ScrubTest, ClosingTheStoreDoesNotWaitForAScrub) {
  AddInPacks(Noise(3, 5000));
  ASSERT_TRUE(store_->StartScrub({.bytes_per_second = 1}));
  Reopen();
  EXPECT_EQ(Scrub().record.chunks, 3u);
}

TEST_F(ScrubTest, AStoreThatIsOpenToReadOnlyIsNotScrubbed) {
  Add(Noise(1, 100));
  options_.read_only = true;
  Reopen();
  EXPECT_EQ(store_->StartScrub({}).error().code, EROFS);
}

TEST_F(ScrubTest, FindsNoDamageBesideWritersReclaimAndRecompression) {
  const auto texts = Texts(24, 1500);
  const auto kept = Add({texts.begin(), texts.begin() + 12});
  constexpr int kThreads = 2;
  std::vector<uint64_t> seeds(kThreads);
  for (uint64_t& seed : seeds) seed = random_.Next();
  std::atomic<int> running = kThreads;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(seeds[static_cast<size_t>(t)]);
      for (int round = 0; round < 50 && !HasFailure(); ++round) {
        std::vector<std::string> mine;
        for (uint64_t n = random.Between(1, 4); n > 0; --n) {
          mine.push_back(texts[random.Below(texts.size())]);
        }
        const auto ids = Add(mine, Durability::kBuffered);
        EXPECT_TRUE(Count(ids, -1, Durability::kBuffered));
        if (random.OneIn(3)) {
          EXPECT_TRUE(store_->Reclaim());
        }
      }
      --running;
    });
  }
  threads.emplace_back([&] {
    while (running > 0) Recompress();
  });
  uint64_t chunks = 0;
  do {
    const ScrubStatus status = Scrub();
    EXPECT_EQ(status.state, ScrubStatus::State::kFinished) << status.error;
    EXPECT_EQ(status.record.damaged, 0u);
    chunks += status.record.chunks;
  } while (running > 0 && !HasFailure());
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(chunks, 0u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>());
  for (size_t i = 0; i < 12; ++i) ExpectContent(kept[i], texts[i]);
  ExpectSound();
}

TEST_F(ScrubTest, AFailedSealEndsTheScrubAndMakesTheStoreReadOnly) {
  const auto contents = Noise(3, 500);
  const auto ids = Add(contents);
  env_.Inject({.op = FaultEnv::Op::kAppend});
  const ScrubStatus status = Scrub();
  EXPECT_EQ(status.state, ScrubStatus::State::kFailed);
  EXPECT_NE(status.error, "");
  EXPECT_FALSE(status.record.under_way) << "nothing was planned";
  const Status failure = store_->Failure();
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().code, EROFS);
  ExpectContents(ids, contents);
  EXPECT_TRUE(Damaged().empty());
}

TEST_F(ScrubTest, AFullDiskAtTheSealIsNoEndOfTheScrub) {
  const auto ids = Add(Noise(3, 500));
  Flip(ids[1]);
  env_.Inject({.op = FaultEnv::Op::kAppend, .code = ENOSPC});
  EXPECT_EQ(DamagedBy(), 1u);
  EXPECT_TRUE(store_->Failure());
}

}  // namespace
}  // namespace dedupfs
