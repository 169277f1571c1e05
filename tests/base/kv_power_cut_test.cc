// A power cut at any instant of a database that changes its logs, its manifest and its tables all
// the time: it opens, and holds a prefix of the batches with all that was synced.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/kv.h"
#include "tests/support/disk_model.h"
#include "tests/support/fault_disk.h"
#include "tests/support/point_stride.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

namespace stdfs = std::filesystem;

const uint64_t kPoints = PointStride() > 1 ? 6 : 40;  // fewer under sanitizers

class KvPowerCutTest : public testing::Test {
 protected:
  KvPowerCutTest() {
    stdfs::create_directory(temp_.Join("disk"));
    disk_ = std::make_unique<FaultDisk>(temp_.Join("disk"));
  }

  // With so little memory each batch makes a family change its table and the database its log.
  std::unique_ptr<Kv> Open(bool create) {
    KvOptions options;
    options.create = create;
    options.memtable_bytes = 1;
    options.file_system = NewFaultFileSystem(*disk_);
    auto kv = Kv::Open(disk_->root() + "/db", options);
    EXPECT_TRUE(kv) << kv.error().message;
    return kv ? std::move(*kv) : nullptr;
  }

  // Batches in two families, some of them synced, in `sessions` sessions of the database.
  void Run(int sessions, int batches) {
    for (int session = 0; session < sessions; ++session) {
      const auto kv = Open(session == 0);
      ASSERT_NE(kv, nullptr);
      if (session == 0) {
        // The name of the database itself is for who makes it to sync.
        ASSERT_TRUE(NewFaultDiskEnv(*disk_)->SyncDir(disk_->root()));
        created_ = disk_->Now();
      }
      for (int i = 0; i < batches; ++i) {
        Batch batch;
        begun_.push_back(disk_->Now());
        const std::string key = BigU64(begun_.size());
        batch.Put(Family::kMeta, key, random_.Bytes(random_.Below(3000)));
        batch.Put(Family::kRecipe, key, random_.Bytes(random_.Below(3000)));
        const bool synced = random_.OneIn(4);
        ASSERT_TRUE(kv->Write(batch, synced ? Durability::kSynced : Durability::kBuffered));
        if (synced) promised_.emplace_back(disk_->Now(), begun_.size());
        if (random_.OneIn(3)) {
          ASSERT_TRUE(kv->FlushLog());
        }
      }
    }
  }

  static std::set<std::string> Keys(Kv& kv, Family family) {
    std::set<std::string> keys;
    for (auto rows = kv.Iterate(family, "", ""); rows->Valid(); rows->Next()) {
      keys.emplace(rows->key());
    }
    return keys;
  }

  void ExpectAPrefix(const DiskModel& model, uint64_t instant, Loss loss, uint64_t seed) {
    SCOPED_TRACE("after call " + std::to_string(instant) + ", loss " +
                 std::to_string(static_cast<int>(loss)) + ", seed " + std::to_string(seed));
    Random random(seed);
    model.WriteTo(temp_.Join("cut"), loss, random);
    FaultDisk plain(temp_.Join("cut"));  // leaves out the syncs, which no further cut asks for
    KvOptions options;
    options.file_system = NewFaultFileSystem(plain);
    const auto kv = Kv::Open(plain.root() + "/db", options);
    ASSERT_TRUE(kv) << kv.error().message;
    const std::set<std::string> keys = Keys(**kv, Family::kMeta);
    EXPECT_EQ(keys, Keys(**kv, Family::kRecipe)) << "half of a batch";
    if (!keys.empty()) {
      EXPECT_EQ(ParseBigU64(*keys.rbegin()), keys.size()) << "a gap";
    }
    uint64_t least = 0;
    for (const auto& [at, count] : promised_) {
      if (at <= instant) least = count;
    }
    EXPECT_GE(keys.size(), least) << "a synced batch is gone";
    const auto most = std::upper_bound(begun_.begin(), begun_.end(), instant) - begun_.begin();
    EXPECT_LE(keys.size(), static_cast<uint64_t>(most));
  }

  const uint64_t seed_ = TestSeed();
  Random random_{seed_};
  TempDir temp_;
  std::unique_ptr<FaultDisk> disk_;
  uint64_t created_ = 0;
  std::vector<uint64_t> begun_;                          // instants, by batch
  std::vector<std::pair<uint64_t, uint64_t>> promised_;  // instant, batches that are durable then
};

TEST_F(KvPowerCutTest, WhateverBytesAndNamesAreLostItOpensWithAPrefixOfTheBatches) {
  Run(3, 12);
  ASSERT_FALSE(HasFailure());
  const std::vector<DiskCall> record = disk_->Record();
  const uint64_t stride =
      std::max(std::max<uint64_t>((record.size() - created_) / kPoints, 1), PointStride());
  DiskModel model;
  for (uint64_t instant = 1; instant <= record.size() && !HasFailure(); ++instant) {
    model.Apply(record[instant - 1]);
    if (instant < created_ || instant % stride != seed_ % stride) continue;
    ExpectAPrefix(model, instant, Loss::kUnsynced, seed_ + instant);
    ExpectAPrefix(model, instant, Loss::kTorn, seed_ + instant);
  }
}

TEST_F(KvPowerCutTest, ALogIsWrittenToOnceItsNameAndTheLogBeforeItAreDurable) {
  Run(2, 10);
  uint64_t files = 0;
  uint64_t logs = 0;
  std::map<uint64_t, std::string> paths;
  std::set<uint64_t> unnamed;   // files whose names are not durable
  std::set<uint64_t> unsynced;  // logs with bytes that are not
  for (const DiskCall& call : disk_->Record()) {
    switch (call.kind) {
      case DiskCall::Kind::kCreate:
        paths[++files] = call.path;
        unnamed.insert(files);
        break;
      case DiskCall::Kind::kSyncDir:
        unnamed.clear();
        break;
      case DiskCall::Kind::kSync:
        unsynced.erase(call.file);
        break;
      case DiskCall::Kind::kRename:
        // A database that was opened has put all that the older logs hold into tables.
        if (call.to == "db/CURRENT") unsynced.clear();
        break;
      case DiskCall::Kind::kWrite:
        if (!paths[call.file].ends_with(".log")) break;
        ++logs;
        EXPECT_EQ(unnamed.count(call.file), 0u) << paths[call.file];
        for (const uint64_t other : unsynced) {
          EXPECT_EQ(paths[other], paths[call.file]) << "it is not durable";
        }
        unsynced.insert(call.file);
        break;
      default:
        break;
    }
  }
  EXPECT_GT(logs, 0u);
}

TEST_F(KvPowerCutTest, CurrentIsChangedOnceTheManifestThatItNamesIsDurable) {
  Run(2, 1);
  bool manifest_named = false;
  uint64_t changes = 0;
  for (const DiskCall& call : disk_->Record()) {
    if (call.kind == DiskCall::Kind::kCreate && call.path.starts_with("db/MANIFEST-")) {
      manifest_named = false;
    }
    if (call.kind == DiskCall::Kind::kSyncDir && call.path == "db") manifest_named = true;
    if (call.kind != DiskCall::Kind::kRename || call.to != "db/CURRENT") continue;
    ++changes;
    EXPECT_TRUE(manifest_named) << call.path;
  }
  EXPECT_GE(changes, 2u);
}

}  // namespace
}  // namespace dedupfs
