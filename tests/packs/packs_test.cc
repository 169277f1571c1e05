#include "chunkstore/packs/packs.h"

#include <cerrno>
#include <optional>

#include "chunkstore/chunking/chunker.h"
#include "tests/packs/packs_test_util.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

class PackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    MakePacksDir(env_);
    packs_ = MustOpen(env_);
    ASSERT_TRUE(packs_);
  }

  Location MustAppend(const TestChunk& chunk) {
    const RecordInput input = chunk.input();
    const auto locations = packs_->Append(std::span(&input, 1));
    EXPECT_TRUE(locations) << (locations ? "" : locations.error().message);
    return locations ? locations->front() : Location{};
  }

  FaultEnv env_;
  std::unique_ptr<Packs> packs_;
};

TEST_F(PackTest, OpenPackIsReadableAtOnce) {
  const std::vector<TestChunk> chunks = {SmallChunk(1), SmallChunk(2), SmallChunk(3)};
  const auto locations = packs_->Append(Inputs(chunks));
  ASSERT_TRUE(locations);
  ASSERT_EQ(locations->size(), 3U);
  EXPECT_EQ(locations->front().offset, kPackHeaderSize);
  for (size_t i = 0; i < chunks.size(); ++i) {
    EXPECT_TRUE(ReadsBack(*packs_, (*locations)[i], chunks[i]));
    if (i > 0) {
      EXPECT_EQ((*locations)[i].offset, (*locations)[i - 1].end());
    }
  }
  EXPECT_TRUE(packs_->IsOpen(locations->front().pack));
}

TEST_F(PackTest, ABatchIsOneAppendToTheDisk) {
  ASSERT_TRUE(packs_->Append(Inputs({SmallChunk(1), SmallChunk(2), SmallChunk(3)})));
  EXPECT_EQ(env_.Calls(FaultEnv::Op::kAppend), 1U);
}

TEST_F(PackTest, EmptyBatchTouchesNothing) {
  const auto locations = packs_->Append({});
  ASSERT_TRUE(locations);
  EXPECT_TRUE(locations->empty());
  EXPECT_EQ(env_.Calls(FaultEnv::Op::kCreate), 0U);
}

TEST_F(PackTest, WrongInputIsRefusedAndChangesNothing) {
  const Location before = MustAppend(SmallChunk(1));
  TestChunk wrong = SmallChunk(2);
  wrong.header.stored -= 1;
  const RecordInput input = wrong.input();
  const auto refused = packs_->Append(std::span(&input, 1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EINVAL);
  const Location after = MustAppend(SmallChunk(3));
  EXPECT_EQ(after.offset, before.end());
}

TEST_F(PackTest, ReadRefusesAnotherChunkOrPlace) {
  const TestChunk chunk = SmallChunk(1);
  const Location right = MustAppend(chunk);
  Buffer scratch;
  const auto code = [&](Location location, ChunkId id) {
    const auto record = packs_->Read(location, id, scratch);
    return record ? 0 : record.error().code;
  };
  EXPECT_EQ(code(right, 1), 0);
  EXPECT_EQ(code(right, 2), EIO);
  for (const int64_t step : {-16, -1, 1, 64}) {
    Location location = right;
    location.offset += static_cast<uint64_t>(step);
    EXPECT_EQ(code(location, 1), EIO) << step;
  }
  for (const uint32_t stored : {0U, right.stored - 1, right.stored + 1, UINT32_MAX}) {
    EXPECT_EQ(code({right.pack, right.offset, stored}, 1), EIO) << stored;
  }
  EXPECT_EQ(code({right.pack, UINT64_MAX, right.stored}, 1), EIO);
  EXPECT_EQ(code({right.pack + 1, right.offset, right.stored}, 1), ENOENT);
}

TEST_F(PackTest, DamageIsNamedByPackOffsetAndChunk) {
  const Location location = MustAppend(SmallChunk(5));
  ASSERT_TRUE(packs_->Sync());
  ASSERT_TRUE(env_.FlipBit(PackPath(location.pack), location.end() - 1, 3));
  Buffer scratch;
  const auto record = packs_->Read(location, 5, scratch);
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, EIO);
  EXPECT_NE(record.error().message.find("pack 1 offset 16 chunk 5"), std::string::npos)
      << record.error().message;
}

TEST_F(PackTest, ListOfOpenSealedAndReopenedPackAgree) {
  const std::vector<TestChunk> chunks = {SmallChunk(1), SmallChunk(2)};
  const auto locations = packs_->Append(Inputs(chunks));
  ASSERT_TRUE(locations);
  const auto expect = [&](bool sealed) {
    for (const bool scan : {false, true}) {
      const auto contents = scan ? packs_->Scan(1) : packs_->List(1);
      ASSERT_TRUE(contents);
      EXPECT_EQ(contents->sealed, sealed);
      EXPECT_FALSE(contents->damaged) << *contents->damaged;
      ASSERT_EQ(contents->entries.size(), 2U);
      for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(Names(*contents, (*locations)[i], chunks[i]));
    }
  };
  expect(false);
  packs_.reset();
  packs_ = MustOpen(env_, 2);
  expect(false);
  packs_.reset();
  ASSERT_TRUE(env_.Remove(PackPath(1)));
  packs_ = MustOpen(env_, 1);
  ASSERT_TRUE(packs_->Append(Inputs(chunks)));
  ASSERT_TRUE(packs_->SealOpen());
  EXPECT_FALSE(packs_->IsOpen(1));
  expect(true);
}

TEST_F(PackTest, FullPackIsSealedAndTheNextOneOpened) {
  Random random(TestSeed());
  const TestChunk chunk(1, random.Bytes(kLargestChunk));
  const std::vector<RecordInput> batch(64, chunk.input());  // 25.6 MiB
  std::vector<Location> all;
  while (all.empty() || all.back().pack < 3) {
    const auto locations = packs_->Append(batch);
    ASSERT_TRUE(locations);
    EXPECT_EQ(locations->front().pack, locations->back().pack);
    all.insert(all.end(), locations->begin(), locations->end());
  }
  for (const PackId pack : {1, 2}) {
    const auto contents = packs_->List(pack);
    ASSERT_TRUE(contents);
    EXPECT_TRUE(contents->sealed);
    const auto size = packs_->FileSize(pack);
    ASSERT_TRUE(size);
    EXPECT_GE(*size, kPackTargetBytes);
    EXPECT_LT(*size, kPackTargetBytes + batch.size() * (kLargestChunk + kRecordHeaderSize) + 65536);
  }
  // Batches above 16 MiB are split: two appends each, and one for each seal.
  EXPECT_EQ(env_.Calls(FaultEnv::Op::kAppend), all.size() / batch.size() * 2 + 2);
  for (size_t i = 0; i < all.size(); i += 37) EXPECT_TRUE(ReadsBack(*packs_, all[i], chunk));
}

TEST_F(PackTest, TornRecordIsDroppedOnReopen) {
  const TestChunk kept = SmallChunk(1);
  const Location first = MustAppend(kept);
  const Location second = MustAppend(SmallChunk(2));
  ASSERT_TRUE(packs_->Sync());
  packs_.reset();
  ASSERT_TRUE(env_.Truncate(PackPath(1), second.end() - 1));
  packs_ = MustOpen(env_, 2);
  const auto contents = packs_->List(1);
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->entries.size(), 1U);
  EXPECT_TRUE(contents->damaged);
  EXPECT_TRUE(ReadsBack(*packs_, first, kept));
  EXPECT_FALSE(ReadsBack(*packs_, second, SmallChunk(2)));
  // Never appends to a pack of an earlier life.
  EXPECT_EQ(MustAppend(SmallChunk(3)).pack, 2U);
}

TEST_F(PackTest, RemoveDeletesAllButTheOpenPack) {
  MustAppend(SmallChunk(1));
  EXPECT_EQ(packs_->Remove(1).error().code, EBUSY);
  ASSERT_TRUE(packs_->SealOpen());
  const Location second = MustAppend(SmallChunk(2));
  ASSERT_TRUE(packs_->Remove(1));
  EXPECT_EQ(packs_->Remove(1).error().code, ENOENT);
  EXPECT_EQ(packs_->List(1).error().code, ENOENT);
  EXPECT_EQ(packs_->FileSize(1).error().code, ENOENT);
  const auto all = packs_->All();
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, std::vector<PackId>{second.pack});
  EXPECT_TRUE(packs_->Sync());
}

TEST_F(PackTest, AllIgnoresForeignNames) {
  WritePack(env_, 12, "");
  ASSERT_TRUE(env_.Create(kPacksDir + "/0000000000000013.pack.tmp"));
  ASSERT_TRUE(env_.Create(kPacksDir + "/notes"));
  MustAppend(SmallChunk(1));
  const auto all = packs_->All();
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, (std::vector<PackId>{1, 12}));
}

TEST_F(PackTest, TotalBytesFollowsAppendSealAndRemove) {
  const auto sum = [&] {
    uint64_t total = 0;
    const std::vector<PackId> all = packs_->All().value();
    for (const PackId id : all) total += packs_->FileSize(id).value();
    return total;
  };
  EXPECT_EQ(packs_->TotalBytes().value(), 0U);
  MustAppend(SmallChunk(1));
  EXPECT_EQ(packs_->TotalBytes().value(), sum());
  ASSERT_TRUE(packs_->SealOpen());
  EXPECT_EQ(packs_->TotalBytes().value(), sum());
  MustAppend(SmallChunk(2));
  MustAppend(SmallChunk(3));
  EXPECT_EQ(packs_->TotalBytes().value(), sum());
  ASSERT_TRUE(packs_->Remove(1));
  EXPECT_EQ(packs_->TotalBytes().value(), sum());
  EXPECT_GT(sum(), 0U);
  EXPECT_EQ(MustOpen(env_)->TotalBytes().value(), sum());
}

TEST_F(PackTest, MoreFilesThanTheCacheHoldsStayReadable) {
  std::vector<Location> locations;
  for (ChunkId id = 1; id <= 300; ++id) {
    locations.push_back(MustAppend(SmallChunk(id)));
    ASSERT_TRUE(packs_->SealOpen());
  }
  for (int round = 0; round < 2; ++round) {
    for (ChunkId id = 1; id <= 300; ++id) {
      EXPECT_TRUE(ReadsBack(*packs_, locations[id - 1], SmallChunk(id)));
    }
  }
  const uint64_t opens = env_.Calls(FaultEnv::Op::kOpen);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(ReadsBack(*packs_, locations[299], SmallChunk(300)));
  EXPECT_EQ(env_.Calls(FaultEnv::Op::kOpen), opens);
}

TEST_F(PackTest, SyncWithNothingNewCostsNothing) {
  MustAppend(SmallChunk(1));
  ASSERT_TRUE(packs_->Sync());
  const uint64_t calls = env_.Calls();
  EXPECT_TRUE(packs_->Sync());
  EXPECT_EQ(env_.Calls(), calls);
}

TEST_F(PackTest, MissingDirectoryIsAnError) {
  const auto packs = Packs::Open(env_, "/nowhere", CountFrom(1));
  ASSERT_FALSE(packs);
  EXPECT_EQ(packs.error().code, ENOENT);
}

}  // namespace
}  // namespace dedupfs
