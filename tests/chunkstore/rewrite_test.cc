#include <gtest/gtest.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "chunkstore/pack_rewrite.h"
#include "tests/chunkstore/rewrite_fixture.h"

namespace dedupfs {
namespace {

class RewriteTest : public RewriteFixture {};

TEST_F(RewriteTest, ContentsStayAndStoredBytesFallAndTheOldPackGoes) {
  const auto texts = Texts(30, 20000);
  const auto ids = Add(texts);
  const auto before = store_->Stats();
  const PackId old = Info(ids[0]).location.pack;
  ASSERT_EQ(CodecOf(ids[0]), Codec::kLz4);
  const RewriteReport report = Recompress();
  const auto after = store_->Stats();
  ASSERT_TRUE(before && after);
  EXPECT_EQ(report.packs, 1u);
  EXPECT_EQ(report.bytes_before, before->stored_bytes);
  EXPECT_EQ(report.bytes_after, after->stored_bytes);
  EXPECT_LT(after->stored_bytes, before->stored_bytes * 9 / 10);
  EXPECT_LT(after->pack_bytes, before->pack_bytes);
  EXPECT_EQ(after->logical_bytes, before->logical_bytes);
  EXPECT_EQ(after->chunks, before->chunks);
  EXPECT_FALSE(PackFileExists(old));
  for (ChunkId id : ids) EXPECT_EQ(CodecOf(id), Codec::kZstd);
  ExpectContents(ids, texts);
  ExpectSound();
  Reopen();
  ExpectContents(ids, texts);
  ExpectSound();
}

// The packs take no more after it: status and every caller must know.
TEST_F(RewriteTest, AFailedSealMakesTheStoreReadOnly) {
  Add(Texts(3, 2000));
  env_.Inject({.op = FaultEnv::Op::kAppend});
  EXPECT_FALSE(store_->Recompress({}));
  const Status failure = store_->Failure();
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().code, EROFS);
}

TEST_F(RewriteTest, AFailedSealOfADeadPackMakesTheStoreReadOnly) {
  const auto ids = Add(Texts(3, 2000));
  ASSERT_TRUE(Count(ids, -1));
  env_.Inject({.op = FaultEnv::Op::kAppend});
  EXPECT_FALSE(store_->Reclaim());
  EXPECT_FALSE(store_->Failure());
}

TEST_F(RewriteTest, AFullDiskAtTheSealLeavesTheStoreUsable) {
  Add(Texts(3, 2000));
  env_.Inject({.op = FaultEnv::Op::kAppend, .code = ENOSPC});
  EXPECT_FALSE(store_->Recompress({}));
  EXPECT_TRUE(store_->Failure());
  Add(Texts(2, 3000));
}

TEST_F(RewriteTest, TheOrderOfThePackIsKept) {
  const auto ids = Add(Texts(50, 3000));
  Recompress();
  for (size_t i = 1; i < ids.size(); ++i) {
    EXPECT_LT(Info(ids[i - 1]).location.offset, Info(ids[i]).location.offset);
  }
}

TEST_F(RewriteTest, ASecondRewriteFindsNothingToDo) {
  auto contents = Texts(20, 4000);
  contents.push_back(random_.Bytes(5000));
  for (size_t size = 1; size < 60; ++size) contents.push_back(Text(size));
  const auto ids = Add(contents);
  EXPECT_EQ(Recompress().packs, 1u);
  const Location where = Info(ids[0]).location;
  const RewriteReport second = Recompress();
  EXPECT_EQ(second.packs, 0u);
  EXPECT_EQ(second.bytes_before, 0u);
  EXPECT_EQ(Info(ids[0]).location, where);
  ExpectContents(ids, contents);
}

TEST_F(RewriteTest, TheSameContentWrittenLaterHasTheSameIdAndIsNotStoredAgain) {
  const auto texts = Texts(10, 5000);
  const auto ids = Add(texts);
  Recompress();
  const auto before = store_->Stats();
  EXPECT_EQ(Add(texts), ids);
  const auto after = store_->Stats();
  ASSERT_TRUE(before && after);
  EXPECT_EQ(after->stored_bytes, before->stored_bytes);
  EXPECT_EQ(after->pack_bytes, before->pack_bytes);
  EXPECT_EQ(Info(ids[0]).refcount, 2u);
}

TEST_F(RewriteTest, APackOfIncompressibleChunksIsLeftAlone) {
  const auto contents = Noise(10, 5000);
  const auto ids = Add(contents);
  const Location where = Info(ids[0]).location;
  EXPECT_EQ(Recompress().packs, 0u);
  EXPECT_EQ(Info(ids[0]).location, where);
}

TEST_F(RewriteTest, RawChunksBesideCompressedOnesMoveAsTheyAre) {
  auto contents = Texts(10, 5000);
  contents.push_back(random_.Bytes(5000));
  const auto ids = Add(contents);
  Recompress();
  EXPECT_EQ(CodecOf(ids.back()), Codec::kRaw);
  EXPECT_EQ(Info(ids.back()).location.pack, Info(ids[0]).location.pack);
  ExpectContents(ids, contents);
  ExpectSound();
}

TEST_F(RewriteTest, DeadChunksAreNotMovedAndGoWithTheirPack) {
  const auto texts = Texts(10, 5000);
  const auto ids = Add(texts);
  ASSERT_TRUE(Count({ids[2], ids[5]}, -1));
  Recompress();
  const auto infos = store_->Lookup(ids);
  ASSERT_TRUE(infos);
  EXPECT_FALSE((*infos)[2]);
  EXPECT_FALSE((*infos)[5]);
  const auto stats = store_->Stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->chunks, 8u);
  EXPECT_EQ(stats->dead_chunks, 0u);
  ExpectContent(ids[1], texts[1]);
  ExpectSound();
}

TEST_F(RewriteTest, ASparsePackIsRewrittenThoughNothingOfItIsLz4) {
  const auto contents = Noise(10, 5000);
  const auto ids = Add(contents);
  ASSERT_TRUE(Count({ids.begin(), ids.begin() + 5}, -1));
  const auto before = store_->Stats();
  EXPECT_EQ(Recompress().packs, 1u);
  const auto after = store_->Stats();
  ASSERT_TRUE(before && after);
  EXPECT_LT(after->pack_bytes, before->pack_bytes * 6 / 10);
  ExpectContent(ids[7], contents[7]);
  ExpectSound();
}

TEST_F(RewriteTest, AZstdRecordIsCopiedAsItIsStored) {
  const auto texts = Texts(10, 5000);
  const auto ids = Add(texts);
  Recompress();
  const ChunkInfo before = Info(ids[9]);
  ASSERT_TRUE(Count({ids.begin(), ids.begin() + 6}, -1));
  EXPECT_EQ(Recompress().packs, 1u);
  const ChunkInfo after = Info(ids[9]);
  EXPECT_NE(after.location.pack, before.location.pack);
  EXPECT_EQ(after.location.stored, before.location.stored);
  EXPECT_EQ(CodecOf(ids[9]), Codec::kZstd);
  ExpectContent(ids[9], texts[9]);
  ExpectSound();
}

TEST_F(RewriteTest, APinnedDeadChunkKeepsItsPackUntilThePinGoes) {
  const auto texts = Texts(10, 5000);
  const auto ids = Add(texts);
  const PackId old = Info(ids[0]).location.pack;
  Pins pins;
  ASSERT_TRUE(store_->Pin({&ids[3], 1}, pins));
  ASSERT_TRUE(Count({ids[3]}, -1));
  EXPECT_EQ(Recompress().packs, 1u);
  EXPECT_TRUE(PackFileExists(old));
  ExpectContents(ids, texts);
  ASSERT_TRUE(Count({ids[3]}, 1));
  pins = Pins();
  ExpectContents(ids, texts);
  ExpectSound();
  EXPECT_EQ(Recompress().packs, 1u) << "it is a candidate again";
  EXPECT_FALSE(PackFileExists(old));
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(RewriteTest, UncommittedRecordsStayReadableAndCommitLater) {
  const auto ids = Add(Texts(10, 5000));
  const std::string text = Text(6000);
  Pins pins;
  const auto pending = StoreAll({text}, pins);
  ASSERT_TRUE(pending);
  Recompress();
  ExpectContent(pending->front(), text);
  ASSERT_TRUE(Count(*pending, 1));
  pins = Pins();
  ExpectContent(pending->front(), text);
  ExpectSound();
}

TEST_F(RewriteTest, ADamagedRecordIsCondemnedAndStaysAndTheOthersAreRewritten) {
  const auto texts = Texts(10, 5000);
  const auto ids = Add(texts);
  const Location bad = Info(ids[4]).location;
  Flip(ids[4]);
  EXPECT_EQ(Recompress().packs, 1u);
  EXPECT_TRUE(Info(ids[4]).condemned);
  EXPECT_EQ(Info(ids[4]).location, bad);
  EXPECT_TRUE(PackFileExists(bad.pack));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i != 4) ExpectContent(ids[i], texts[i]);
  }
  EXPECT_EQ(Problems().size(), 1u);
  EXPECT_EQ(Recompress().packs, 0u) << "nothing of it can be moved";
  EXPECT_TRUE(Info(ids[4]).condemned);
  EXPECT_EQ(Add({texts[4]})[0], ids[4]);
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(RewriteTest, ARecordThatIsNotTheContentOfItsChunkIsNotTakenForIt) {
  const auto texts = Texts(5, 5000);
  const auto ids = Add(texts);
  // A row and a record that agree with each other, and not with the content.
  ChunkRow row;
  {
    const auto rows = LoadChunkRows(*kv_, {&ids[2], 1});
    ASSERT_TRUE(rows && (*rows)[0].row);
    row = *(*rows)[0].row;
  }
  store_.reset();
  const std::string path = PackPath(row.location.pack);
  const auto whole = env_.ReadAll(path, 1 << 20);
  ASSERT_TRUE(whole) << whole.error().message;
  Buffer stored;
  ASSERT_TRUE(Compress(Codec::kLz4, 0, AsBytes(std::string(5000, 'x')), stored));
  stored.resize(row.location.stored);
  // Any stored bytes whose checksum is right: raw ones of the length that is there.
  row.raw = row.location.stored;
  row.codec = Codec::kRaw;
  const std::string header = EncodeRecordHeader(
      {ids[2], row.fingerprint, row.codec, row.raw, row.location.stored}, stored);
  std::string forged = *whole;
  forged.replace(row.location.offset, header.size(), header);
  forged.replace(row.location.offset + header.size(), stored.size(), AsText(stored));
  ASSERT_TRUE(env_.ReplaceFile(kPackDirectory, PackFileName(row.location.pack), forged));
  Batch batch;
  batch.Put(Family::kChunk, BigU64(ids[2]), EncodeChunkRow(row));
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  OpenStore();
  ASSERT_TRUE(store_->Recompress({}));
  EXPECT_TRUE(Info(ids[2]).condemned);
  EXPECT_EQ(Info(ids[2]).location, row.location);
  ExpectContent(ids[1], texts[1]);
}

TEST_F(RewriteTest, AFullDiskIsEnospcAndLeavesAllAsItWas) {
  const auto texts = Texts(10, 5000);
  const auto ids = Add(texts);
  const Location where = Info(ids[0]).location;
  for (const FaultEnv::Op op : {FaultEnv::Op::kCreate, FaultEnv::Op::kAppend}) {
    ASSERT_TRUE(store_->Recompress([] { return true; }));  // seals what is open
    FaultEnv::Fault fault;
    fault.op = op;
    fault.code = ENOSPC;
    env_.Inject(fault);
    const auto report = store_->Recompress({});
    env_.ClearFaults();
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ENOSPC);
    EXPECT_TRUE(store_->Failure());
    EXPECT_EQ(Info(ids[0]).location, where);
    ExpectContents(ids, texts);
    ExpectSound();
  }
  EXPECT_EQ(Recompress().packs, 1u);
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(RewriteTest, TheReserveOfTheDiskIsRespected) {
  const auto ids = Add(Texts(10, 5000));
  const Location where = Info(ids[0]).location;
  SpaceInfo space;
  space.total = 1 << 30;
  space.free = space.available = 1000;
  env_.SetSpace(space);
  Reopen();
  const auto report = store_->Recompress({});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ENOSPC);
  EXPECT_EQ(Info(ids[0]).location, where);
}

TEST_F(RewriteTest, AnotherErrorOfTheAppendMakesTheStoreReadOnly) {
  const auto texts = Texts(10, 5000);
  const auto ids = Add(texts);
  ASSERT_TRUE(store_->Recompress([] { return true; }));
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kAppend;
  env_.Inject(fault);
  EXPECT_FALSE(store_->Recompress({}));
  EXPECT_EQ(store_->Failure().error().code, EROFS);
  ExpectContents(ids, texts);
}

TEST_F(RewriteTest, CancellingStopsBeforeTheFirstPack) {
  const auto ids = Add(Texts(10, 5000));
  const auto report = store_->Recompress([] { return true; });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->packs, 0u);
  EXPECT_EQ(CodecOf(ids[0]), Codec::kLz4);
}

TEST_F(RewriteTest, AReadOnlyStoreIsErofs) {
  Add(Texts(2, 5000));
  options_.read_only = true;
  Reopen();
  EXPECT_EQ(store_->Recompress({}).error().code, EROFS);
}

TEST(IsWorthRewritingTest, Lz4OfATenthOrLessThanThreeFifthsLive) {
  const auto row = [](uint64_t live, uint64_t total, uint64_t lz4) {
    PackRow result{live, 1, 2, total, lz4};
    return result;
  };
  EXPECT_TRUE(IsWorthRewriting(row(1000, 1000, 100)));
  EXPECT_FALSE(IsWorthRewriting(row(1000, 1000, 99)));
  EXPECT_FALSE(IsWorthRewriting(row(600, 1000, 0)));
  EXPECT_TRUE(IsWorthRewriting(row(599, 1000, 0)));
  EXPECT_FALSE(IsWorthRewriting(row(5, 5, 0)));
  PackRow dead = row(0, 1000, 0);
  dead.live_chunks = 0;
  EXPECT_FALSE(IsWorthRewriting(dead));
}

TEST_F(RewriteTest, ProgressGoesUpFromPackToPackToAllThatIsToBeRewritten) {
  for (int pack = 0; pack < 3; ++pack) {
    Add(Texts(5, 2000));
    Reopen();
  }
  std::vector<std::pair<uint64_t, uint64_t>> told;
  const auto report = store_->Recompress(
      {}, [&told](uint64_t done, uint64_t total) { told.emplace_back(done, total); });
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[0].first, 0u);
  EXPECT_LT(told[0].first, told[1].first);
  EXPECT_LT(told[1].first, told[2].first);
  for (const auto& [done, total] : told) {
    EXPECT_EQ(total, report->bytes_before);
    EXPECT_LT(done, total);
  }
}

}  // namespace
}  // namespace dedupfs
