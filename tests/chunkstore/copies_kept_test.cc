// Copies that are the only whole records of their chunks.
#include <gtest/gtest.h>

#include <cerrno>
#include <thread>

#include "chunkstore/commit_group.h"
#include "chunkstore/copy_rescue.h"
#include "tests/chunkstore/copies_fixture.h"

namespace dedupfs {
namespace {

class CopiesKeptTest : public CopiesFixture {
 protected:
  CopiesKeptTest() {
    options_.reserve_bytes = 1 << 20;
    Reopen();
  }

  CopyReport DropAll() {
    const auto report = store_->DropCopies({});
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(CopyReport{});
  }

  const std::vector<std::string> texts_ = Texts(3, 3000);
};

TEST_F(CopiesKeptTest, DroppingAllHealsWhatIsDamagedFirst) {
  const auto ids = AddOften(texts_);
  Make();
  Flip(ids[1]);
  CondemnRow(ids[1]);
  const CopyReport report = DropAll();
  EXPECT_EQ(report.dropped_chunks, 3u);
  EXPECT_EQ(report.kept_chunks, 0u);
  EXPECT_GT(report.freed_bytes, 0u);
  EXPECT_EQ(CopyFiles(), 0u);
  EXPECT_EQ(Stats().healed_chunks, 1u);
  ExpectContents(ids, texts_);
  ExpectSound();
}

TEST_F(CopiesKeptTest, DroppingAllOnAFullDiskKeepsOnlyWholeRecords) {
  const auto ids = AddOften(texts_);
  Make();
  Flip(ids[1]);
  CondemnRow(ids[1]);
  SetFull(true);
  CopyReport report = DropAll();
  EXPECT_EQ(report.dropped_chunks, 2u);
  EXPECT_EQ(report.kept_chunks, 1u);
  EXPECT_TRUE(CopyOf(ids[1]));
  EXPECT_EQ(Stats().copy_chunks, 1u);
  ExpectContents(ids, texts_);
  SetFull(false);
  report = DropAll();
  EXPECT_EQ(report.dropped_chunks, 1u);
  EXPECT_EQ(report.kept_chunks, 0u);
  EXPECT_EQ(CopyFiles(), 0u);
  ExpectContents(ids, texts_);
  ExpectSound();
}

TEST_F(CopiesKeptTest, AnErrorOfTheDiskForgetsNoCopy) {
  const auto ids = AddOften(texts_);
  Make();
  const Location at = *CopyOf(ids[0]);
  Reopen();
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kOpen;
  fault.sticky = true;
  env_.Inject(fault);
  EXPECT_EQ(store_->MakeCopies({}).error().code, EIO);
  env_.ClearFaults();
  EXPECT_EQ(CopyOf(ids[0]), at);
  EXPECT_EQ(Make().made_chunks, 0u);
  EXPECT_EQ(CopyOf(ids[0]), at);
}

TEST_F(CopiesKeptTest, APackThatTheDirectoryNamesIsNotMissing) {
  const auto ids = AddOften(texts_);
  Make();
  const Location at = *CopyOf(ids[0]);
  Reopen();
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kOpen;
  fault.code = ENOENT;  // as while a file system is being mounted
  env_.Inject(fault);
  EXPECT_EQ(Make().made_chunks, 0u);
  EXPECT_EQ(CopyOf(ids[0]), at);
}

TEST_F(CopiesKeptTest, ACopyThatIsAwayForAWhileIsNotForgottenWhereItsChunkIsCondemned) {
  const auto ids = AddOften(texts_);
  Make();
  Flip(ids[1]);
  CondemnRow(ids[1]);
  const Location at = *CopyOf(ids[1]);
  Reopen();
  const std::string away = std::string(kCopyDirectory) + "/away";
  ASSERT_TRUE(env_.Rename(CopyPath(at.pack), away));
  EXPECT_EQ(Make().made_chunks, 2u) << "of the others, in place of those that are gone";
  EXPECT_EQ(CopyOf(ids[1]), at);
  ASSERT_TRUE(env_.Rename(away, CopyPath(at.pack)));
  Reopen();
  ASSERT_TRUE(store_->Reclaim());
  ExpectContents(ids, texts_);
  EXPECT_FALSE(Info(ids[1]).condemned);
}

TEST_F(CopiesKeptTest, ADamagedCopyIsKeptWhereItsChunkWasCondemnedMeanwhile) {
  const auto ids = AddOften(texts_);
  Make();
  Reopen();
  FailureLatch failure;
  InFlight in_flight;
  SpaceGuard space(env_, kCopyDirectory, 0);
  auto packs = Packs::Open(env_, kCopyDirectory,
                           []() -> Result<PackId> { return Fail(EROFS, "nothing is appended"); });
  ASSERT_TRUE(packs);
  CommitGroup commits({*kv_, **packs, in_flight, failure, [](PackId) {}, 0, {}});
  CopyRescue rescue({*kv_, **packs, packs->get(), in_flight, space, commits, failure, false,
                     [] { return Ok(); }, [](PackId) {}});
  CondemnRow(ids[0]);
  ASSERT_TRUE(rescue.DropCopy(ids[0], *CopyOf(ids[0])));
  ASSERT_TRUE(rescue.DropCopy(ids[1], *CopyOf(ids[1])));
  EXPECT_TRUE(CopyOf(ids[0]));
  EXPECT_FALSE(CopyOf(ids[1]));
}

TEST_F(CopiesKeptTest, WhatAFullDiskKeptFromBeingMadeIsMadeLater) {
  const auto before = AddOften(Noise(2, 1000));
  store_.reset();
  FaultEnv::Fault full;
  full.op = FaultEnv::Op::kAppend;
  full.code = ENOSPC;
  env_.Inject(full);
  const uint64_t appends = env_.Calls(FaultEnv::Op::kAppend);
  options_.idle_share = [] { return 1.0; };
  options_.recompress_after_quiet = std::chrono::milliseconds(1);
  Reopen();
  while (env_.Calls(FaultEnv::Op::kAppend) == appends) std::this_thread::yield();
  const auto after = AddOften(Noise(2, 1000));
  while (!CopyOf(after[0]) || !CopyOf(after[1])) std::this_thread::yield();
  for (const ChunkId id : before) EXPECT_TRUE(CopyOf(id));
}

TEST_F(CopiesKeptTest, HealingWhatIsKnownGoesOnWhereASliceEnded) {
  const auto texts = Texts(100, 200);  // more than a slice heals
  const auto ids = AddOften(texts);
  Make();
  for (const ChunkId id : ids) CondemnRow(id);
  uint64_t asked = 0;
  const auto cancelled = [&asked] { return ++asked > 40; };
  ASSERT_TRUE(store_->MakeCopies(cancelled));
  const uint64_t healed = Stats().healed_chunks;
  EXPECT_GT(healed, 0u);
  EXPECT_LT(healed, 40u) << "it was to end";
  Make();
  EXPECT_EQ(Stats().healed_chunks, 100u);
  ExpectContents(ids, texts);
  ExpectSound();
}

}  // namespace
}  // namespace dedupfs
