// A pass that is ended at chosen places, and goes on.
#include "chunkstore/scrub_pass.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/chunkstore/scrub_fixture.h"

namespace dedupfs {
namespace {

class ScrubPassTest : public ScrubFixture {
 protected:
  // Runs on packs as the store left them, and ends where `go_on` says.
  Result<bool> TryRun(const ScrubPass::GoOn& go_on, bool restart = false) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto packs, Packs::Open(env_, kPackDirectory, [] {
                               return Fail(EROFS, "no pack is made here");
                             }));
    const ScrubParts parts{*kv_, *packs, latch_,
                           [this](ChunkId id, const Location&) {
                             found_.push_back(id);
                             return Ok();
                           },
                           [](ChunkId, const Location&) {}};
    return ScrubPass(parts, go_on).Run(restart);
  }
  bool Run(const ScrubPass::GoOn& go_on, bool restart = false) {
    const auto ended = TryRun(go_on, restart);
    EXPECT_TRUE(ended) << ended.error().message;
    return ended.value_or(false);
  }
  bool RunAll(bool restart = false) {
    return Run([](const ScrubRecord&, uint64_t) { return true; }, restart);
  }
  // Until so many packs are done.
  void RunUntil(uint64_t packs) {
    EXPECT_FALSE(
        Run([packs](const ScrubRecord& record, uint64_t) { return record.packs_done < packs; }));
  }
  ScrubRecord Saved() {
    const auto record = LoadScrubRecord(*kv_);
    EXPECT_TRUE(record);
    return record.value_or(ScrubRecord{});
  }

  FailureLatch latch_;
  std::vector<ChunkId> found_;
};

TEST_F(ScrubPassTest, PacksWithTheMostReferencesComeFirstAndEachOnce) {
  const auto contents = Noise(5, 400);
  const auto ids = AddInPacks(contents);
  Add({contents[3], contents[3], contents[1]});
  EXPECT_FALSE(Run([](const ScrubRecord&, uint64_t) { return false; }));
  const auto plan = LoadScrubPlanPage(*kv_, 0);
  ASSERT_TRUE(plan);
  std::vector<PackId> order;
  for (const ScrubPlanEntry& entry : *plan) order.push_back(entry.pack);
  EXPECT_EQ(order, (std::vector<PackId>{PackOf(ids[3]), PackOf(ids[1]), PackOf(ids[0]),
                                        PackOf(ids[2]), PackOf(ids[4])}));
}

TEST_F(ScrubPassTest, GoesOnAtThePackWhereItEndedAndReadsNoPackTwice) {
  const auto ids = AddInPacks(Noise(4, 400));
  for (ChunkId id : ids) Flip(id);
  RunUntil(2);
  EXPECT_EQ(found_.size(), 2u);
  EXPECT_EQ(Saved().damaged, 2u);
  EXPECT_TRUE(Saved().under_way);
  EXPECT_TRUE(RunAll());
  EXPECT_EQ(std::set<ChunkId>(found_.begin(), found_.end()),
            std::set<ChunkId>(ids.begin(), ids.end()));
  EXPECT_EQ(found_.size(), 4u);
  EXPECT_EQ(Saved().last.damaged, 4u);
  EXPECT_EQ(Saved().last.chunks, 4u);
  EXPECT_FALSE(Saved().under_way);
}

TEST_F(ScrubPassTest, ARunThatEndsInsideAPackDoesThatPackAgainAndCountsItOnce) {
  const auto ids = Add(Noise(9, 400));
  Flip(ids[0]);
  Reopen();
  uint64_t read = 0;
  EXPECT_FALSE(Run([&](const ScrubRecord&, uint64_t bytes) { return (read += bytes) < 1000; }));
  EXPECT_GT(read, 0u);
  EXPECT_EQ(Saved().chunks, 0u);
  EXPECT_TRUE(RunAll());
  EXPECT_EQ(Saved().last.chunks, 9u);
  EXPECT_EQ(Saved().last.damaged, 1u);
}

TEST_F(ScrubPassTest, ARestartBeginsAnew) {
  AddInPacks(Noise(4, 400));
  uint64_t read = 0;
  const auto count = [&read](const ScrubRecord&, uint64_t bytes) {
    read += bytes;
    return true;
  };
  RunUntil(2);
  EXPECT_TRUE(Run(count, true));
  EXPECT_EQ(read, 4 * 400u);
  EXPECT_EQ(Saved().last.chunks, 4u);
  RunUntil(2);
  EXPECT_TRUE(Run(count));
  EXPECT_EQ(read, 4 * 400u + 2 * 400u);
  EXPECT_EQ(Saved().last.chunks, 4u);
}

TEST_F(ScrubPassTest, APowerCutKeepsWhatWasDoneAndWhatWasFound) {
  const auto contents = Noise(4, 400);
  const auto ids = AddInPacks(contents);
  Flip(ids[0]);
  ASSERT_TRUE(store_->StartScrub({}));
  EXPECT_EQ(Wait().record.last.damaged, 1u);
  RunUntil(3);
  PowerCut();
  EXPECT_EQ(Saved().packs_done, 3u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>{ids[0]});
  const ScrubStatus status = Scrub();
  EXPECT_EQ(status.run_bytes, 400u) << "it did not go on";
  EXPECT_EQ(status.record.last.chunks, 4u);
  EXPECT_EQ(status.record.last.damaged, 1u);
}

TEST_F(ScrubPassTest, PacksThatAreLookedAtByTheirRowsSurviveTheEndOfARun) {
  const auto lost = Add(Noise(3, 400));
  Reopen();
  AddInPacks(Noise(2, 400));
  ASSERT_TRUE(env_.Remove(PackPath(PackOf(lost[0]))));
  RunUntil(3);  // all packs are passed over, the missing one is left for the end
  EXPECT_EQ(found_.size(), 0u);
  EXPECT_TRUE(RunAll());
  EXPECT_EQ(found_, lost);
  EXPECT_EQ(Saved().last.chunks, 5u);
}

TEST_F(ScrubPassTest, APackThatIsReclaimedMeanwhileIsNoDamage) {
  const auto ids = AddInPacks(Noise(3, 400));
  EXPECT_FALSE(Run([](const ScrubRecord&, uint64_t) { return false; }));
  const PackId dead = PackOf(ids[1]);
  ASSERT_TRUE(Count({ids[1]}, -1));
  ASSERT_TRUE(store_->Reclaim());
  ASSERT_FALSE(PackFileExists(dead));
  EXPECT_TRUE(RunAll());
  EXPECT_EQ(found_.size(), 0u);
  EXPECT_EQ(Saved().last.chunks, 2u);
}

TEST_F(ScrubPassTest, AChunkThatMovesAfterItsRowWasReadIsVerifiedAtItsNewPlace) {
  const auto texts = Texts(6, 3000);
  const auto ids = Add(texts);
  Reopen();
  const Location old = Info(ids[5]).location;
  Pins pins;  // keep the old pack
  ASSERT_TRUE(store_->Pin(ids, pins));
  bool moved = false;
  EXPECT_TRUE(Run([&](const ScrubRecord&, uint64_t bytes) {
    if (bytes == 0 || std::exchange(moved, true)) return true;
    EXPECT_EQ(Recompress().packs, 1u);
    EXPECT_TRUE(env_.FlipBit(PackPath(old.pack), old.offset + kRecordHeaderSize + 3, 5));
    return true;
  }));
  pins = Pins();
  EXPECT_NE(Info(ids[5]).location, old);
  EXPECT_EQ(found_.size(), 0u);
  EXPECT_EQ(Saved().last.chunks, 6u);
}

TEST_F(ScrubPassTest, AChunkThatIsDroppedAfterItsRowWasReadIsNoDamage) {
  const auto ids = Add(Noise(6, 400));
  Reopen();
  bool dropped = false;
  EXPECT_TRUE(Run([&](const ScrubRecord&, uint64_t bytes) {
    if (bytes == 0 || std::exchange(dropped, true)) return true;
    EXPECT_TRUE(Count(ids, -1));
    EXPECT_TRUE(store_->Reclaim());
    FaultEnv::Fault gone;
    gone.op = FaultEnv::Op::kReadAt;
    gone.sticky = true;
    env_.Inject(gone);
    return true;
  }));
  env_.ClearFaults();
  EXPECT_TRUE(dropped);
  EXPECT_EQ(found_.size(), 0u);
}

TEST_F(ScrubPassTest, ARecordThatCannotBeReadForLackOfMemoryEndsThePassAndIsNoDamage) {
  Add(Noise(6, 400));
  Reopen();
  const auto ended = TryRun([&](const ScrubRecord&, uint64_t bytes) {
    if (bytes == 0) return true;
    FaultEnv::Fault fault;
    fault.op = FaultEnv::Op::kReadAt;
    fault.code = ENOMEM;
    env_.Inject(fault);
    return true;
  });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ENOMEM);
  EXPECT_EQ(found_.size(), 0u);
  env_.ClearFaults();
  EXPECT_TRUE(RunAll());
  EXPECT_EQ(Saved().last.chunks, 6u);
}

}  // namespace
}  // namespace dedupfs
