// What a salvage tells of rows that a broken table had deleted, or that were deleted above it.
#include "chunkstore/base/kv_salvage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

constexpr int kRows = 2000;

class KvSalvageTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return temp_.Join(name); }
  static std::string Key(int number) { return "key " + std::to_string(100'000 + number); }

  std::unique_ptr<Kv> Open(bool create) {
    KvOptions options;
    options.create = create;
    auto kv = Kv::Open(Path("db"), options);
    EXPECT_TRUE(kv.has_value());
    return std::move(*kv);
  }
  std::set<std::string> Tables() const {
    std::set<std::string> found;
    for (const auto& entry : files::directory_iterator(Path("db"))) {
      if (entry.path().extension() == ".sst") found.insert(entry.path());
    }
    return found;
  }
  // A table of all rows, and one that deletes some of them and lies above it. Returns both.
  std::pair<std::string, std::string> MakeTables(Family family) {
    {
      const auto kv = Open(true);
      Batch batch;
      for (int i = 0; i < kRows; ++i) batch.Put(family, Key(i), std::string(100, 'x'));
      EXPECT_TRUE(kv->Write(batch, Durability::kSynced).has_value());
      EXPECT_TRUE(kv->CompactAll().has_value());
    }
    const std::set<std::string> before = Tables();
    {
      const auto kv = Open(false);
      Batch batch;
      for (int i = 0; i < kRows; i += 2) batch.Delete(family, Key(i));
      for (int i = 0; i < kRows; ++i) batch.Put(family, "new " + Key(i), std::string(100, 'y'));
      EXPECT_TRUE(kv->Write(batch, Durability::kSynced).has_value());
    }
    Open(false).reset();  // the log becomes a table
    const std::set<std::string> after = Tables();
    std::vector<std::string> made;
    std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                        std::back_inserter(made));
    EXPECT_EQ(made.size(), 1U);
    EXPECT_EQ(before.size(), 1U);
    return {*before.begin(), made.front()};
  }
  static void Damage(const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(files::file_size(path) / 2));
    file.write("damage", 6);
  }
  // Each row that was deleted is still deleted, or lies in a gap.
  void ExpectDeletedOrTold(Family family) {
    const auto salvage = SalvageDatabase(Path("db"), Path("old"), Path("new"), KvOptions());
    ASSERT_TRUE(salvage.has_value()) << salvage.error().message;
    EXPECT_FALSE(salvage->whole);
    for (int i = 0; i < kRows; i += 2) {
      const auto value = salvage->kv->Get(family, Key(i));
      ASSERT_TRUE(value.has_value());
      if (!*value) continue;
      EXPECT_TRUE(std::any_of(salvage->gaps.begin(), salvage->gaps.end(),
                              [&](const SalvageGap& gap) {
                                return (!gap.family || *gap.family == family) &&
                                       gap.from <= Key(i) && (gap.to.empty() || Key(i) < gap.to);
                              }))
          << Key(i) << " is back, and nothing tells of it";
    }
  }

  TempDir temp_;
};

TEST_F(KvSalvageTest, WhatABrokenTableDeletedIsNotBackUntold) {
  Damage(MakeTables(Family::kDirty).second);
  ExpectDeletedOrTold(Family::kDirty);
}

TEST_F(KvSalvageTest, WhatWasDeletedAboveABrokenTableIsNotBackUntold) {
  Damage(MakeTables(Family::kDirty).first);
  ExpectDeletedOrTold(Family::kDirty);
}

}  // namespace
}  // namespace dedupfs
