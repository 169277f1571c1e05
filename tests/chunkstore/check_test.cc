#include <gtest/gtest.h>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

class CheckTest : public StoreTest {
 protected:
  CheckTest() {
    Random random(TestSeed());
    std::vector<std::string> contents;
    for (int i = 0; i < 30; ++i) contents.push_back(random.Bytes(400));
    ids_ = Add(contents);
    Reopen();
    for (ChunkId id : ids_) counts_.emplace_back(id, 1);
  }

  void Put(Family family, const std::string& key, const std::string& value) {
    Batch batch;
    batch.Put(family, key, value);
    ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  }
  void ExpectOnly(const std::string& part) {
    const auto problems = Problems(&counts_);
    ASSERT_EQ(problems.size(), 1u) << ::testing::PrintToString(problems);
    EXPECT_NE(problems[0].find(part), std::string::npos) << problems[0];
  }

  std::vector<ChunkId> ids_;
  std::vector<std::pair<ChunkId, uint64_t>> counts_;
};

TEST_F(CheckTest, ASoundStoreHasNoProblemsAndProgressEndsAtItsTotal) {
  ASSERT_TRUE(Count({ids_[3]}, -1));
  counts_.erase(counts_.begin() + 3);
  EXPECT_EQ(Problems(&counts_), std::vector<std::string>());
  ChunkStore::CheckProgress last;
  ChunkStore::CheckHooks hooks;
  hooks.progress = [&](const ChunkStore::CheckProgress& progress) { last = progress; };
  ASSERT_TRUE(store_->Check(hooks));
  EXPECT_GT(last.bytes_total, 0u);
  EXPECT_EQ(last.bytes_done, last.bytes_total);
}

TEST_F(CheckTest, FindsAFlippedBit) {
  const Location at = Info(ids_[7]).location;
  ASSERT_TRUE(env_.FlipBit(PackPath(at.pack), at.offset + kRecordHeaderSize, 1));
  ExpectOnly(std::to_string(ids_[7]) + ":");
  EXPECT_FALSE(Info(ids_[7]).condemned) << "a check changes nothing";
}

TEST_F(CheckTest, FindsAWrongCount) {
  counts_[5].second = 3;
  ExpectOnly(std::to_string(ids_[5]) + ": the reference count is 1, but should be 3");
}

TEST_F(CheckTest, FindsAChunkThatNoRecipeNames) {
  counts_.erase(counts_.begin() + 5);
  ExpectOnly(std::to_string(ids_[5]) + ": the reference count is 1, but should be 0");
}

TEST_F(CheckTest, FindsAChunkWithoutARow) {
  counts_.emplace_back(ids_.back() + 50, 1);
  ExpectOnly(std::to_string(ids_.back() + 50) + ": recipes name the chunk, but it has no row");
}

TEST_F(CheckTest, FindsAMissingFingerprintEntry) {
  Batch batch;
  batch.Delete(Family::kFingerprint, Info(ids_[2]).fingerprint.text());
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  ExpectOnly(std::to_string(ids_[2]) + ": the chunk has no fingerprint entry");
}

TEST_F(CheckTest, FindsAStrayFingerprintEntry) {
  Put(Family::kFingerprint, std::string(32, 'x'), EncodeFingerprintEntry(ids_[2]));
  ExpectOnly("names a chunk that is not its");
}

TEST_F(CheckTest, FindsAMissingPack) {
  const PackId pack = Info(ids_[0]).location.pack;
  ASSERT_TRUE(env_.Remove(PackPath(pack)));
  Reopen();
  const auto problems = Problems(&counts_);
  EXPECT_EQ(problems.size(), ids_.size());
  for (const std::string& problem : problems) {
    EXPECT_NE(problem.find("pack " + std::to_string(pack) + " is missing"), std::string::npos);
  }
}

TEST_F(CheckTest, FindsWrongTotals) {
  auto totals = LoadTotals(*kv_);
  ASSERT_TRUE(totals);
  totals->unique_bytes += 1;
  Put(Family::kMeta, std::string(kTotalsKey), EncodeTotalsRow(*totals));
  ExpectOnly("total unique_bytes");
}

TEST_F(CheckTest, FindsAWrongPackRow) {
  const PackId pack = Info(ids_[0]).location.pack;
  const auto rows = LoadPackRows(*kv_, {&pack, 1});
  ASSERT_TRUE(rows && (*rows)[0].row);
  PackRow row = *(*rows)[0].row;
  row.live_chunks -= 1;
  Put(Family::kPack, BigU64(pack), EncodePackRow(row));
  ExpectOnly("row of pack " + std::to_string(pack) + ": live_chunks");
}

TEST_F(CheckTest, FindsAWrongSumOfLz4Bytes) {
  const auto ids = Add({std::string(4000, 'x')});
  counts_.emplace_back(ids[0], 1);
  const PackId pack = Info(ids[0]).location.pack;
  const auto rows = LoadPackRows(*kv_, {&pack, 1});
  ASSERT_TRUE(rows && (*rows)[0].row);
  PackRow row = *(*rows)[0].row;
  EXPECT_EQ(row.live_lz4_bytes, Info(ids[0]).location.stored);
  row.live_lz4_bytes = 0;
  Put(Family::kPack, BigU64(pack), EncodePackRow(row));
  ExpectOnly("row of pack " + std::to_string(pack) + ": live_lz4_bytes");
}

TEST_F(CheckTest, FindsARowThatSaysAnotherRawLength) {
  const auto rows = LoadChunkRows(*kv_, {&ids_[4], 1});
  ASSERT_TRUE(rows && (*rows)[0].row);
  ChunkRow row = *(*rows)[0].row;
  row.refcount = 1;
  row.codec = Codec::kZstd;
  Put(Family::kChunk, BigU64(ids_[4]), EncodeChunkRow(row));
  ExpectOnly("is not what its row says");
}

}  // namespace
}  // namespace dedupfs
