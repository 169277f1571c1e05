#include <gtest/gtest.h>

#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "tests/chunkstore/copies_fixture.h"

namespace dedupfs {
namespace {

class CopiesTest : public CopiesFixture {};

TEST_F(CopiesTest, ChunksWithMoreReferencesThanAskedForGetOneAndOthersNone) {
  const auto often = AddOften(Noise(3, 2000));
  const auto seldom = AddOften(Noise(3, 2000), 2);
  EXPECT_EQ(Make().made_chunks, 3u);
  for (const ChunkId id : often) EXPECT_TRUE(CopyOf(id));
  for (const ChunkId id : seldom) EXPECT_FALSE(CopyOf(id));
  EXPECT_EQ(Make().made_chunks, 0u) << "there is one already";
  const StoreStats stats = Stats();
  EXPECT_EQ(stats.copy_chunks, 3u);
  EXPECT_EQ(stats.copy_stored_bytes, 6000u);
  EXPECT_GT(stats.copy_pack_bytes, 6000u);
  EXPECT_EQ(stats.physical_bytes(),
            stats.pack_bytes + stats.copy_pack_bytes + stats.metadata_bytes);
  ExpectSound();
}

TEST_F(CopiesTest, NoneAreMadeWhereTheyAreNotSwitchedOn) {
  SwitchOn(0);
  AddOften(Noise(2, 1000));
  EXPECT_EQ(store_->MakeCopies({}).error().code, EINVAL);
  EXPECT_EQ(Stats().copy_chunks, 0u);
}

TEST_F(CopiesTest, ProgressCountsTheChunksThatAreLookedAtAndTheCopiesThatAreForgotten) {
  AddOften(Noise(3, 2000));
  Add(Noise(2, 1000));
  std::vector<std::pair<uint64_t, uint64_t>> told;
  const WorkProgress note = [&told](uint64_t done, uint64_t total) {
    told.emplace_back(done, total);
  };
  ASSERT_TRUE(store_->MakeCopies({}, note));
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.front(), std::pair(uint64_t{0}, uint64_t{5}));
  EXPECT_EQ(told.back(), std::pair(uint64_t{5}, uint64_t{5}));
  told.clear();
  ASSERT_TRUE(store_->DropCopies({}, note));
  EXPECT_EQ(told, (std::vector<std::pair<uint64_t, uint64_t>>{{3, 3}}));
}

TEST_F(CopiesTest, ADamagedRecordIsReadFromItsCopyAndHealed) {
  const auto texts = Texts(2, 3000);
  const auto ids = AddOften(texts);
  Make();
  const Location before = Info(ids[0]).location;
  Flip(ids[0]);
  ExpectContents(ids, texts);
  EXPECT_FALSE(Info(ids[0]).condemned);
  EXPECT_NE(Info(ids[0]).location, before) << "a fresh record";
  EXPECT_EQ(Info(ids[0]).refcount, 3u);
  EXPECT_EQ(Stats().healed_chunks, 1u);
  EXPECT_EQ(Stats().damaged_chunks, 0u);
  EXPECT_TRUE(CopyOf(ids[0])) << "the copy stays";
  ExpectSound();
  PowerCut();
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(CopiesTest, APartOfADamagedChunkIsReadFromItsCopy) {
  const auto texts = Texts(1, 3000);
  const auto ids = AddOften(texts);
  Make();
  Flip(ids[0]);
  std::string part(100, '\0');
  ASSERT_TRUE(store_->Read(ids[0], 1700, {reinterpret_cast<std::byte*>(part.data()), 100}));
  EXPECT_EQ(part, texts[0].substr(1700, 100));
}

TEST_F(CopiesTest, AMissingPackIsHealedChunkByChunk) {
  const auto texts = Texts(4, 3000);
  const auto ids = AddOften(texts);
  Make();
  Reopen();
  ASSERT_TRUE(env_.Remove(PackPath(PackOf(ids[0]))));
  ExpectContents(ids, texts);
  EXPECT_EQ(Stats().healed_chunks, 4u);
  ASSERT_TRUE(store_->Reclaim());
  ExpectSound();
}

TEST_F(CopiesTest, WithoutAWholeCopyDamageIsAnErrorAsBefore) {
  const auto texts = Texts(1, 3000);
  const auto ids = AddOften(texts);
  Make();
  Flip(ids[0]);
  FlipCopy(ids[0]);
  EXPECT_EQ(ReadBack(ids[0], texts[0].size()).error().code, EIO);
  EXPECT_TRUE(Info(ids[0]).condemned);
  EXPECT_EQ(Scrub().run_damaged_copies, 1u);
  EXPECT_TRUE(CopyOf(ids[0])) << "it may be readable again sooner than the record";
  EXPECT_EQ(Add(texts), ids) << "the next write heals";
  ExpectContents(ids, texts);
  Scrub();
  EXPECT_FALSE(CopyOf(ids[0]));
  EXPECT_EQ(Make().made_chunks, 1u);
  ExpectSound();
}

TEST_F(CopiesTest, AFullDiskKeepsTheChunkCondemnedAndReadableUntilThereIsRoom) {
  options_.reserve_bytes = 1 << 20;
  Reopen();
  const auto texts = Texts(1, 3000);
  const auto ids = AddOften(texts);
  Make();
  Flip(ids[0]);
  SpaceInfo full;
  env_.SetSpace(full);
  Reopen();
  ExpectContents(ids, texts);
  EXPECT_TRUE(Info(ids[0]).condemned);
  full.total = full.free = full.available = uint64_t{1} << 40;
  env_.SetSpace(full);
  Reopen();
  ExpectContents(ids, texts);
  EXPECT_FALSE(Info(ids[0]).condemned);
  ExpectSound();
}

TEST_F(CopiesTest, WhereTheDirectoryOfThePacksIsGoneTheStoreDoesNotTurnReadOnly) {
  const auto texts = Texts(1, 3000);
  const auto ids = AddOften(texts);
  Make();
  Flip(ids[0]);
  FaultEnv::Fault gone;
  gone.op = FaultEnv::Op::kSpace;
  gone.code = ENOENT;
  gone.sticky = true;
  env_.Inject(gone);
  const Location before = Info(ids[0]).location;
  ExpectContents(ids, texts);
  EXPECT_EQ(Info(ids[0]).location, before);
  env_.ClearFaults();
  ExpectContents(ids, texts);
  EXPECT_NE(Info(ids[0]).location, before);
  EXPECT_TRUE(store_->Failure());
}

TEST_F(CopiesTest, AReadOnlyStoreIsReadFromCopiesAndNotChanged) {
  const auto texts = Texts(1, 3000);
  const auto ids = AddOften(texts);
  Make();
  const Location before = Info(ids[0]).location;
  Flip(ids[0]);
  options_.read_only = true;
  Reopen();
  ExpectContents(ids, texts);
  EXPECT_EQ(Info(ids[0]).location, before);
}

TEST_F(CopiesTest, AScrubHealsDamageAndFindsDamagedCopies) {
  const auto texts = Texts(3, 3000);
  const auto ids = AddOften(texts);
  Make();
  Flip(ids[0]);
  FlipCopy(ids[1]);
  const ScrubStatus status = Scrub();
  EXPECT_EQ(status.run_healed, 1u);
  EXPECT_EQ(status.run_damaged_copies, 1u);
  EXPECT_EQ(status.record.last.damaged, 1u);
  EXPECT_EQ(Damaged(), std::vector<ChunkId>());
  EXPECT_FALSE(CopyOf(ids[1]));
  EXPECT_EQ(Make().made_chunks, 1u);
  EXPECT_EQ(Scrub().run_damaged_copies, 0u);
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(CopiesTest, RewritingMeetsDamageAndHealsIt) {
  const auto texts = Texts(6, 2000);
  const auto ids = AddOften(texts);
  Make();
  Flip(ids[2]);
  Recompress();
  EXPECT_FALSE(Info(ids[2]).condemned);
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(CopiesTest, ACheckVerifiesThemAndSaysWhatACopyHeals) {
  const auto ids = AddOften(Texts(3, 3000));
  Make();
  FlipCopy(ids[0]);
  Flip(ids[1]);
  const auto problems = Problems();
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].find(std::to_string(ids[1]) + ": "), 0u) << problems[0];
  EXPECT_NE(problems[0].find("its extra copy is whole"), std::string::npos) << problems[0];
  EXPECT_EQ(problems[1].find(std::to_string(ids[0]) + ": its extra copy"), 0u) << problems[1];
}

TEST_F(CopiesTest, ACheckFindsWrongSumsAndMissingPacks) {
  const auto ids = AddOften(Noise(2, 1000));
  Make();
  const PackId pack = CopyOf(ids[0])->pack;
  Reopen();
  Batch batch;
  batch.Put(Family::kMeta, CopyPackKey(pack), EncodeCopySums({1, 5}));
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  EXPECT_EQ(Problems().size(), 1u);
  ASSERT_TRUE(env_.Remove(CopyPath(pack)));
  Reopen();  // it has the file open
  EXPECT_EQ(Problems().size(), 3u);
  EXPECT_EQ(Make().made_chunks, 2u) << "in place of those that are gone";
  ExpectSound();
}

TEST_F(CopiesTest, TheyGoWithTheirChunks) {
  const auto ids = AddOften(Noise(4, 1000));
  Make();
  ASSERT_TRUE(Count(ids, -3));
  Reopen();
  EXPECT_GT(*store_->Reclaim(), 0u);
  for (const ChunkId id : ids) EXPECT_FALSE(CopyOf(id));
  EXPECT_EQ(Stats().copy_chunks, 0u);
  EXPECT_EQ(CopyFiles(), 0u);
  ExpectSound();
}

TEST_F(CopiesTest, SparsePacksOfCopiesAreMadeAnew) {
  const auto gone = AddOften(Noise(8, 1000));
  Reopen();
  const auto texts = Texts(2, 1000);
  const auto kept = AddOften(texts);
  Make();
  Reopen();
  const PackId old = CopyOf(kept[0])->pack;
  ASSERT_TRUE(Count(gone, -3));
  ASSERT_TRUE(store_->Reclaim());
  ASSERT_EQ(CopyOf(kept[0])->pack, old);
  EXPECT_EQ(Make().made_chunks, 2u);
  EXPECT_NE(CopyOf(kept[0])->pack, old);
  EXPECT_EQ(CopyFiles(), 1u);
  Flip(kept[0]);
  ExpectContents(kept, texts);
  ExpectSound();
}

TEST_F(CopiesTest, SwitchedOffTheyStayAndAreUsedUntilTheyAreDropped) {
  const auto texts = Texts(2, 1000);
  const auto ids = AddOften(texts);
  Make();
  SwitchOn(0);
  Flip(ids[0]);
  ExpectContents(ids, texts);
  EXPECT_EQ(Stats().copy_chunks, 2u);
  const auto dropped = store_->DropCopies({});
  ASSERT_TRUE(dropped) << dropped.error().message;
  EXPECT_EQ(dropped->dropped_chunks, 2u);
  EXPECT_GT(dropped->freed_bytes, 0u);
  EXPECT_EQ(Stats().copy_chunks, 0u);
  EXPECT_EQ(CopyFiles(), 0u);
  Flip(ids[1]);
  EXPECT_EQ(ReadBack(ids[1], texts[1].size()).error().code, EIO);
}

TEST_F(CopiesTest, ACopyOfAChunkThatAnotherProgramDroppedIsForgotten) {
  const auto ids = AddOften(Noise(2, 1000));
  Make();
  Batch batch;  // as a program that knows no copies leaves it
  CopyChanges changes;
  changes.Put(ids[1] + 1000, std::nullopt, *CopyOf(ids[0]));
  ASSERT_TRUE(changes.AddTo(*kv_, batch));
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  ExpectSound();
  EXPECT_EQ(Make().made_chunks, 0u);
  EXPECT_FALSE(CopyOf(ids[1] + 1000));
  EXPECT_EQ(Stats().copy_chunks, 2u);
}

TEST_F(CopiesTest, TheThreadMakesThemWhileNobodyUsesTheStore) {
  options_.idle_share = [] { return 1.0; };
  options_.recompress_after_quiet = std::chrono::milliseconds(1);
  Reopen();
  const auto before = AddOften(Noise(2, 1000));
  while (!CopyOf(before[0]) || !CopyOf(before[1])) std::this_thread::yield();
  const auto after = AddOften(Noise(2, 1000));  // noted by its commit, after the pass
  while (!CopyOf(after[0]) || !CopyOf(after[1])) std::this_thread::yield();
  ExpectSound();
}

TEST_F(CopiesTest, RowsThatDoNotParseCountAsNone) {
  EXPECT_FALSE(ParseCopyRow(""));
  const std::string row = EncodeCopyRow({7, 16, 100});
  EXPECT_EQ(row.size(), kCopyRowSize);
  EXPECT_EQ(ParseCopyRow(row), (Location{7, 16, 100}));
  EXPECT_FALSE(ParseCopyRow(row + "x"));
  EXPECT_FALSE(ParseCopyRow("\2" + row.substr(1)));
  EXPECT_FALSE(ParseCopyRow(EncodeCopyRow({0, 16, 100})));
  const std::string sums = EncodeCopySums({3, 400});
  EXPECT_EQ(sums.size(), kCopyPackRowSize);
  EXPECT_EQ(ParseCopySums(sums), (CopySums{3, 400}));
  EXPECT_FALSE(ParseCopySums(sums.substr(1)));
}

class CopiesCrashTest : public CopiesFixture {};

TEST_F(CopiesCrashTest, APowerCutAtEveryCallWhileTheyAreMadeLeavesWholeOnesOrNone) {
  const auto texts = Texts(5, 2000);
  const auto ids = AddOften(texts);
  uint64_t step = 1;
  for (bool hit = true; hit && !HasFailure(); ++step) {
    ASSERT_LT(step, 300u) << "the copying never gets through";
    FaultEnv::Fault fault;
    fault.nth = step;
    fault.sticky = true;
    fault.short_append = step % 2 == 0;
    const uint64_t calls = env_.Calls();
    env_.Inject(fault);
    const auto made = store_->MakeCopies({});
    hit = env_.Calls() - calls >= step;
    EXPECT_TRUE(made || hit) << made.error().message;
    ASSERT_TRUE(kv_->SyncLog());  // the rows are durable, so what they name must be
    env_.ClearFaults();
    PowerCut(step % 3 == 0 ? &random_ : nullptr);
    EXPECT_EQ(Problems(), std::vector<std::string>()) << "after step " << step;
    ExpectContents(ids, texts);
    ASSERT_TRUE(store_->DropCopies({}));
  }
  EXPECT_GT(step, 5u);
}

TEST_F(CopiesCrashTest, APowerCutAtEveryCallOfAHealingLeavesTheContentReadable) {
  uint64_t step = 1;
  for (bool hit = true; hit && !HasFailure(); ++step) {
    ASSERT_LT(step, 300u) << "the healing never gets through";
    const auto texts = Texts(1, 2000);
    const auto ids = AddOften(texts);
    Make();
    ASSERT_TRUE(store_->SyncLog());
    Flip(ids[0]);
    FaultEnv::Fault fault;
    fault.nth = step;
    fault.sticky = true;
    fault.short_append = step % 2 == 0;
    const uint64_t calls = env_.Calls();
    env_.Inject(fault);
    (void)ReadBack(ids[0], texts[0].size());
    hit = env_.Calls() - calls >= step;
    env_.ClearFaults();
    PowerCut(step % 3 == 0 ? &random_ : nullptr);
    ExpectContents(ids, texts);
    EXPECT_FALSE(Info(ids[0]).condemned) << "after step " << step;
    EXPECT_EQ(Problems(), std::vector<std::string>()) << "after step " << step;
  }
  EXPECT_GT(step, 4u);
}

TEST_F(CopiesCrashTest, AFailureOfTheCopiesLeavesTheStoreWritable) {
  const auto texts = Texts(3, 2000);
  const auto ids = AddOften(texts);
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kAppend;
  env_.Inject(fault);
  EXPECT_FALSE(store_->MakeCopies({}));
  EXPECT_TRUE(store_->Failure());
  ExpectContents(Add(texts), texts);
  ExpectSound();
}

}  // namespace
}  // namespace dedupfs
