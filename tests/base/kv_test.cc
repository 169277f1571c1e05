#include "chunkstore/base/kv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

class KvTest : public testing::Test {
 protected:
  std::unique_ptr<Kv> Open(const KvOptions& options) const { return OpenAt(path_, options); }
  static std::unique_ptr<Kv> OpenAt(const std::string& path, const KvOptions& options) {
    Result<std::unique_ptr<Kv>> kv = Kv::Open(path, options);
    EXPECT_TRUE(kv) << kv.error().message;
    return kv ? std::move(*kv) : nullptr;
  }
  static KvOptions Create() { return {.create = true}; }
  static Batch One(Family family, std::string_view key, std::string_view value) {
    Batch batch;
    batch.Put(family, key, value);
    return batch;
  }
  static std::vector<std::string> Keys(Kv& kv, Family family, std::string_view lower,
                                       std::string_view upper) {
    std::vector<std::string> keys;
    const auto iterator = kv.Iterate(family, lower, upper);
    for (; iterator->Valid(); iterator->Next()) keys.emplace_back(iterator->key());
    EXPECT_TRUE(iterator->status());
    return keys;
  }

  TempDir directory_;
  const std::string path_ = directory_.Join("db");
};

TEST_F(KvTest, WhatWasPutIsFoundAndWhatWasDeletedIsNot) {
  const auto kv = Open(Create());
  ASSERT_NE(kv, nullptr);
  Batch batch;
  batch.Put(Family::kInode, "a", "1");
  batch.Put(Family::kChunk, "a", "2");
  batch.Put(Family::kInode, "b", "");
  batch.Put(Family::kInode, "c", "3");
  batch.Delete(Family::kInode, "c");
  ASSERT_TRUE(kv->Write(batch, Durability::kBuffered));
  EXPECT_EQ(kv->Get(Family::kInode, "a").value(), "1");
  EXPECT_EQ(kv->Get(Family::kChunk, "a").value(), "2");
  EXPECT_EQ(kv->Get(Family::kInode, "b").value(), "");
  EXPECT_EQ(kv->Get(Family::kInode, "c").value(), std::nullopt);
  EXPECT_EQ(kv->Get(Family::kPack, "a").value(), std::nullopt);
}

TEST_F(KvTest, MultiGetAnswersInTheOrderAskedFor) {
  const auto kv = Open(Create());
  Batch batch;
  std::vector<std::string> names;
  for (uint64_t i = 0; i < 300; ++i) names.push_back(BigU64(i * 7919 % 300));
  for (uint64_t i = 0; i < 300; i += 2) {
    batch.Put(Family::kFingerprint, BigU64(i), "v" + std::to_string(i));
  }
  ASSERT_TRUE(kv->Write(batch, Durability::kBuffered));
  for (const bool compacted : {false, true}) {
    if (compacted) {
      ASSERT_TRUE(kv->CompactAll());
    }
    const std::vector<std::string_view> keys(names.begin(), names.end());
    const auto found = kv->MultiGet(Family::kFingerprint, keys);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), keys.size());
    for (size_t i = 0; i < keys.size(); ++i) {
      const uint64_t number = ParseBigU64(keys[i]);
      const auto expected =
          number % 2 == 0 ? std::optional("v" + std::to_string(number)) : std::nullopt;
      EXPECT_EQ((*found)[i], expected) << number;
    }
  }
  EXPECT_TRUE(kv->MultiGet(Family::kFingerprint, {})->empty());
}

TEST_F(KvTest, IteratorsKeepToTheirBounds) {
  const auto kv = Open(Create());
  Batch batch;
  for (const char* key : {"a", "b1", "b2", "b\xFF\xFF", "c", "d"}) {
    batch.Put(Family::kDentry, key, key);
  }
  batch.Put(Family::kXattr, "b3", "another family");
  ASSERT_TRUE(kv->Write(batch, Durability::kBuffered));
  using testing::ElementsAre;
  EXPECT_THAT(Keys(*kv, Family::kDentry, "b", PrefixEnd("b")),
              ElementsAre("b1", "b2", "b\xFF\xFF"));
  EXPECT_THAT(Keys(*kv, Family::kDentry, "b2", "c"), ElementsAre("b2", "b\xFF\xFF"));
  EXPECT_THAT(Keys(*kv, Family::kDentry, "c", ""), ElementsAre("c", "d"));
  EXPECT_EQ(Keys(*kv, Family::kDentry, "", "").size(), 6U);
  EXPECT_TRUE(Keys(*kv, Family::kDentry, "e", "").empty());
  EXPECT_TRUE(Keys(*kv, Family::kDentry, "c", "c").empty());
}

TEST_F(KvTest, AnIteratorSeesTheDatabaseAsOfItsCreation) {
  const auto kv = Open(Create());
  ASSERT_TRUE(kv->Write(One(Family::kMeta, "a", "old"), Durability::kBuffered));
  const auto iterator = kv->Iterate(Family::kMeta, "", "");
  ASSERT_TRUE(kv->Write(One(Family::kMeta, "a", "new"), Durability::kBuffered));
  ASSERT_TRUE(kv->Write(One(Family::kMeta, "b", "new"), Durability::kBuffered));
  ASSERT_TRUE(iterator->Valid());
  EXPECT_EQ(iterator->value(), "old");
  iterator->Next();
  EXPECT_FALSE(iterator->Valid());
}

TEST_F(KvTest, ADatabaseReopensWithWhatItHeld) {
  {
    const auto kv = Open(Create());
    ASSERT_TRUE(kv->Write(One(Family::kMeta, "synced", "1"), Durability::kSynced));
    ASSERT_TRUE(kv->Write(One(Family::kOrphan, "buffered", ""), Durability::kBuffered));
  }
  const auto kv = Open({});
  ASSERT_NE(kv, nullptr);
  EXPECT_EQ(kv->Get(Family::kMeta, "synced").value(), "1");
  EXPECT_EQ(kv->Get(Family::kOrphan, "buffered").value(), "");
}

// A copy of the files of an open database is what a crash of the process leaves.
class KvCrashTest : public KvTest {
 protected:
  std::string Copy() {
    const std::string copy = directory_.Join("copy" + std::to_string(++copies_));
    std::filesystem::create_directory(copy);
    for (const auto& file : std::filesystem::directory_iterator(path_)) {
      // RocksDB deletes what it no longer needs in the background, also while we copy.
      std::error_code gone;
      std::filesystem::copy_file(file.path(), copy + "/" + file.path().filename().string(), gone);
    }
    return copy;
  }
  int copies_ = 0;
};

TEST_F(KvCrashTest, SyncedWritesSurvive) {
  const auto kv = Open(Create());
  ASSERT_TRUE(kv->Write(One(Family::kMeta, "a", "1"), Durability::kBuffered));
  ASSERT_TRUE(kv->Write(One(Family::kMeta, "b", "2"), Durability::kSynced));
  const auto by_write = OpenAt(Copy(), {});
  EXPECT_EQ(by_write->Get(Family::kMeta, "a").value(), "1");
  EXPECT_EQ(by_write->Get(Family::kMeta, "b").value(), "2");

  ASSERT_TRUE(kv->Write(One(Family::kMeta, "c", "3"), Durability::kBuffered));
  ASSERT_TRUE(kv->FlushLog());
  EXPECT_EQ(OpenAt(Copy(), {})->Get(Family::kMeta, "c").value(), "3");
  ASSERT_TRUE(kv->Write(One(Family::kMeta, "d", "4"), Durability::kBuffered));
  ASSERT_TRUE(kv->SyncLog());
  EXPECT_EQ(OpenAt(Copy(), {})->Get(Family::kMeta, "d").value(), "4");
}

TEST_F(KvCrashTest, BufferedWritesStayInMemoryUntilAsked) {
  const auto kv = Open(Create());
  ASSERT_TRUE(kv->Write(One(Family::kMeta, "a", "1"), Durability::kBuffered));
  EXPECT_EQ(OpenAt(Copy(), {})->Get(Family::kMeta, "a").value(), std::nullopt);
}

// Every batch writes its number to one family and a row to another, so that a batch that survives
// in part, or without the one before it, shows.
void ExpectPrefix(Kv& kv, uint64_t at_least, uint64_t at_most) {
  const std::string last = kv.Get(Family::kMeta, "last").value().value_or("");
  const uint64_t survived = last.empty() ? 0 : ParseBigU64(last);
  EXPECT_GE(survived, at_least);
  EXPECT_LE(survived, at_most);
  const auto rows = kv.Iterate(Family::kRecipe, "", "");
  uint64_t count = 0;
  for (; rows->Valid(); rows->Next()) EXPECT_EQ(ParseBigU64(rows->key()), ++count);
  EXPECT_EQ(count, survived);
}

TEST_F(KvCrashTest, WhatSurvivesIsAPrefixOfTheBatches) {
  Random random(TestSeed());
  const auto kv = Open(Create());
  uint64_t durable = 0;
  for (uint64_t i = 1; i <= 300; ++i) {
    Batch batch;
    batch.Put(Family::kMeta, "last", BigU64(i));
    batch.Put(Family::kRecipe, BigU64(i), random.Bytes(random.Below(4000)));
    const bool synced = random.OneIn(50);
    ASSERT_TRUE(kv->Write(batch, synced ? Durability::kSynced : Durability::kBuffered));
    if (random.OneIn(50)) {
      ASSERT_TRUE(kv->SyncLog());
      durable = i;
    }
    if (synced) durable = i;
    // Tables get ahead of the log here, family by family.
    if (random.OneIn(40)) {
      ASSERT_TRUE(kv->CompactAll());
    }
    if (i % 30 != 0) continue;
    const auto copy = OpenAt(Copy(), {});
    ASSERT_NE(copy, nullptr);
    ExpectPrefix(*copy, durable, i);
  }
}

TEST_F(KvCrashTest, ATornLogGivesAShorterPrefix) {
  Random random(TestSeed());
  const auto kv = Open(Create());
  for (uint64_t i = 1; i <= 200; ++i) {
    Batch batch;
    batch.Put(Family::kMeta, "last", BigU64(i));
    batch.Put(Family::kRecipe, BigU64(i), random.Bytes(random.Below(500)));
    ASSERT_TRUE(kv->Write(batch, Durability::kBuffered));
  }
  ASSERT_TRUE(kv->SyncLog());
  bool shorter = false;
  for (int round = 0; round < 10; ++round) {
    const std::string copy = Copy();
    for (const auto& file : std::filesystem::directory_iterator(copy)) {
      if (file.path().extension() != ".log") continue;
      std::filesystem::resize_file(file.path(), random.Below(file.file_size() + 1));
      shorter = true;
    }
    const auto torn = OpenAt(copy, {});
    ASSERT_NE(torn, nullptr);
    ExpectPrefix(*torn, 0, 200);
  }
  EXPECT_TRUE(shorter);
}

TEST_F(KvCrashTest, ACheckpointBesideSyncedWritesHoldsAPrefixOfThem) {
  const auto kv = Open(Create());
  std::atomic<uint64_t> written = 0;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (uint64_t i = 1; !stop; ++i) {
      Batch batch;
      batch.Put(Family::kMeta, "last", BigU64(i));
      batch.Put(Family::kRecipe, BigU64(i), std::string(500, 'x'));
      EXPECT_TRUE(kv->Write(batch, Durability::kSynced));
      written = i;
    }
  });
  for (int round = 0; round < 5; ++round) {
    const uint64_t before = written;
    const std::string path = directory_.Join("checkpoint" + std::to_string(round));
    const Status made = kv->Checkpoint(path);
    EXPECT_TRUE(made) << made.error().message;
    if (!made) break;
    const auto copy = OpenAt(path, {});
    ExpectPrefix(*copy, before, UINT64_MAX);
  }
  stop = true;
  writer.join();
}

TEST_F(KvTest, ReadOnlySeesTheDataAndRefusesWrites) {
  {
    const auto kv = Open(Create());
    ASSERT_TRUE(kv->Write(One(Family::kPack, "a", "1"), Durability::kSynced));
  }
  const auto kv = Open({.read_only = true});
  ASSERT_NE(kv, nullptr);
  EXPECT_EQ(kv->Get(Family::kPack, "a").value(), "1");
  EXPECT_THAT(Keys(*kv, Family::kPack, "", ""), testing::ElementsAre("a"));
  const Status written = kv->Write(One(Family::kPack, "b", "2"), Durability::kBuffered);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, EROFS);
  EXPECT_TRUE(kv->SyncLog());
}

TEST_F(KvTest, CreateRefusesADatabaseAndOpenRefusesNone) {
  const Result<std::unique_ptr<Kv>> none = Kv::Open(path_, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ENOENT);
  EXPECT_NE(Open(Create()), nullptr);
  const Result<std::unique_ptr<Kv>> again = Kv::Open(path_, Create());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EEXIST);
}

TEST_F(KvTest, DiskBytesGrowWithTheData) {
  const auto kv = Open(Create());
  const uint64_t before = kv->DiskBytes().value();
  Random random(TestSeed());
  ASSERT_TRUE(kv->Write(One(Family::kXattr, "a", random.Bytes(1 << 20)), Durability::kSynced));
  ASSERT_TRUE(kv->CompactAll());
  EXPECT_GE(kv->DiskBytes().value(), before + (1 << 20));
}

TEST_F(KvTest, AppendedBatchesComeAfter) {
  const auto kv = Open(Create());
  Batch first = One(Family::kMeta, "a", "first");
  Batch second = One(Family::kMeta, "a", "second");
  second.Delete(Family::kMeta, "b");
  first.Put(Family::kMeta, "b", "gone");
  first.Append(second);
  EXPECT_EQ(first.count(), 4U);
  EXPECT_FALSE(first.empty());
  EXPECT_TRUE(Batch().empty());
  ASSERT_TRUE(kv->Write(first, Durability::kBuffered));
  EXPECT_EQ(kv->Get(Family::kMeta, "a").value(), "second");
  EXPECT_EQ(kv->Get(Family::kMeta, "b").value(), std::nullopt);
}

TEST_F(KvTest, ReplayOfTheLogIsToldWhileItIsOpenedAndNeverAfter) {
  const std::string killed = directory_.Join("killed");
  {
    const auto kv = Open(Create());
    for (int i = 0; i < 20; ++i) {
      const std::string value(50'000, 'v');
      ASSERT_TRUE(kv->Write(One(Family::kMeta, std::to_string(i), value), Durability::kSynced));
    }
    std::filesystem::copy(path_, killed);  // as a killed process leaves it
  }
  std::vector<std::pair<uint64_t, uint64_t>> told;
  KvOptions options;
  options.replay_progress = [&told](uint64_t done, uint64_t total) {
    told.emplace_back(done, total);
  };
  const auto kv = OpenAt(killed, options);
  ASSERT_NE(kv, nullptr);
  ASSERT_GT(told.size(), 2u);
  EXPECT_EQ(told.front().first, 0u);
  EXPECT_GT(told.front().second, 20u * 50'000u);
  for (size_t i = 1; i < told.size(); ++i) {
    EXPECT_GE(told[i].first, told[i - 1].first);
    EXPECT_EQ(told[i].second, told[0].second);
  }
  EXPECT_GT(told.back().first, 20u * 50'000u);
  EXPECT_LE(told.back().first, told.back().second);
  const size_t count = told.size();
  ASSERT_TRUE(kv->Checkpoint(directory_.Join("copy")));
  EXPECT_EQ(told.size(), count);
}

TEST(PrefixEndTest, IsTheSmallestKeyAfterEveryKeyWithThePrefix) {
  EXPECT_EQ(PrefixEnd("a"), "b");
  EXPECT_EQ(PrefixEnd("a\xFF"), "b");
  EXPECT_EQ(PrefixEnd("a\x7F"), "a\x80");
  EXPECT_EQ(PrefixEnd("\xFF\xFF"), "");
  EXPECT_EQ(PrefixEnd(""), "");
}

}  // namespace
}  // namespace dedupfs
