#include "chunkstore/id_range.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

std::unique_ptr<Kv> OpenKv(const std::string& path, bool create) {
  KvOptions options;
  options.create = create;
  auto kv = Kv::Open(path, options);
  EXPECT_TRUE(kv) << kv.error().message;
  return kv ? std::move(*kv) : nullptr;
}

TEST(IdRangeTest, NumbersBeginAtTheFirstAndFollowOneAnother) {
  const TempDir directory;
  const auto kv = OpenKv(directory.Join("db"), true);
  IdRange range(*kv, "r", 4, 10);
  for (uint64_t expected = 10; expected < 30; ++expected) {
    const auto id = range.Next();
    ASSERT_TRUE(id) << id.error().message;
    EXPECT_EQ(*id, expected);
  }
}

TEST(IdRangeTest, ManyAreConsecutiveOverTheEndOfARange) {
  const TempDir directory;
  const auto kv = OpenKv(directory.Join("db"), true);
  IdRange range(*kv, "r", 4, 1);
  ASSERT_TRUE(range.Next());
  const auto many = range.NextMany(100);
  ASSERT_TRUE(many);
  EXPECT_EQ(*many, 2u);
  const auto next = range.Next();
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, 102u);
}

TEST(IdRangeTest, ACrashNeverRepeatsANumber) {
  const TempDir directory;
  std::string path = directory.Join("db0");
  auto kv = OpenKv(path, true);
  uint64_t last = 0;
  for (int crash = 1; crash < 5; ++crash) {
    IdRange range(*kv, "r", 3, 1);
    for (int i = 0; i < crash * 2; ++i) {
      const auto id = range.Next();
      ASSERT_TRUE(id);
      EXPECT_GT(*id, last);
      last = *id;
    }
    const std::string copy = directory.Join("db" + std::to_string(crash));
    CopyDatabase(path, copy);
    path = copy;
    kv = OpenKv(path, false);
  }
}

TEST(IdRangeTest, ConcurrentCallersGetDifferentNumbers) {
  const TempDir directory;
  const auto kv = OpenKv(directory.Join("db"), true);
  IdRange range(*kv, "r", 16, 1);
  std::vector<std::vector<uint64_t>> got(4);
  std::vector<std::thread> threads;
  threads.reserve(got.size());
  for (auto& ids : got) {
    threads.emplace_back([&range, &ids] {
      for (int i = 0; i < 100; ++i) {
        const auto id = range.NextMany(2);
        ASSERT_TRUE(id);
        ids.push_back(*id);
        ids.push_back(*id + 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<uint64_t> all;
  for (const auto& ids : got) all.insert(ids.begin(), ids.end());
  EXPECT_EQ(all.size(), 800u);
}

TEST(IdRangeTest, ADamagedReservationIsAnErrorAndGivesNoNumber) {
  const TempDir directory;
  const auto kv = OpenKv(directory.Join("db"), true);
  Batch batch;
  batch.Put(Family::kMeta, "r", "short");
  ASSERT_TRUE(kv->Write(batch, Durability::kBuffered));
  IdRange range(*kv, "r", 16, 1);
  const auto id = range.Next();
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, EIO);
}

}  // namespace
}  // namespace dedupfs
