// Appenders, readers and syncers side by side.

#include <atomic>
#include <cerrno>
#include <thread>

#include "chunkstore/base/mutex.h"
#include "tests/packs/packs_test_util.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

// Stops the first sync of a file until Release(), which gives its result.
class HeldSyncEnv : public FaultEnv {
 public:
  Result<std::unique_ptr<File>> Create(const std::string& path) override {
    DEDUPFS_ASSIGN_OR_RETURN(auto file, FaultEnv::Create(path));
    return std::unique_ptr<File>(std::make_unique<HeldFile>(*this, std::move(file)));
  }

  void WaitUntilHeld() {
    MutexLock lock(mutex_);
    while (!held_) changed_.Wait(lock);
  }
  void Release(int code) {
    MutexLock lock(mutex_);
    released_ = true;
    code_ = code;
    changed_.NotifyAll();
  }

 private:
  class HeldFile : public File {
   public:
    HeldFile(HeldSyncEnv& env, std::unique_ptr<File> file) : env_(env), file_(std::move(file)) {}
    Result<size_t> ReadAt(uint64_t offset, MutableBytes out) override {
      return file_->ReadAt(offset, out);
    }
    Status Append(std::span<const Bytes> pieces) override { return file_->Append(pieces); }
    Status Sync() override {
      DEDUPFS_RETURN_IF_ERROR(env_.Hold());
      return file_->Sync();
    }
    Result<uint64_t> Size() override { return file_->Size(); }

   private:
    HeldSyncEnv& env_;
    const std::unique_ptr<File> file_;
  };

  Status Hold() {
    MutexLock lock(mutex_);
    // As the kernel does: the failure is told to one sync only.
    if (held_) return Ok();
    held_ = true;
    changed_.NotifyAll();
    while (!released_) changed_.Wait(lock);
    if (code_ != 0) return Fail(code_, "held sync");
    return Ok();
  }

  Mutex mutex_;
  CondVar changed_;
  bool held_ GUARDED_BY(mutex_) = false;
  bool released_ GUARDED_BY(mutex_) = false;
  int code_ GUARDED_BY(mutex_) = 0;
};

Result<std::vector<Location>> AppendOne(Packs& packs, ChunkId id) {
  const TestChunk chunk = SmallChunk(id);
  const RecordInput input = chunk.input();
  return packs.Append(std::span(&input, 1));
}

TEST(PackThreadsTest, AppendsAndReadsGoOnDuringASync) {
  HeldSyncEnv env;
  MakePacksDir(env);
  auto packs = MustOpen(env);
  ASSERT_TRUE(AppendOne(*packs, 1));
  Status synced;
  std::thread syncer([&] { synced = packs->Sync(); });
  env.WaitUntilHeld();
  // With a lock held across the sync these would never return.
  const auto second = AppendOne(*packs, 2);
  ASSERT_TRUE(second);
  EXPECT_TRUE(ReadsBack(*packs, second->front(), SmallChunk(2)));
  EXPECT_TRUE(packs->List(1));
  env.Release(0);
  syncer.join();
  EXPECT_TRUE(synced);
  // The record appended during the sync is still due.
  const uint64_t before = env.Calls(FaultEnv::Op::kSync);
  EXPECT_TRUE(packs->Sync());
  EXPECT_EQ(env.Calls(FaultEnv::Op::kSync), before + 1);
}

TEST(PackThreadsTest, NoSyncIsOkWhileTheOneThatCoversItFails) {
  HeldSyncEnv env;
  MakePacksDir(env);
  auto packs = MustOpen(env);
  ASSERT_TRUE(AppendOne(*packs, 1));
  Status first;
  Status second;
  std::thread leader([&] { first = packs->Sync(); });
  env.WaitUntilHeld();
  std::atomic<bool> started = false;
  std::thread follower([&] {
    started = true;
    started.notify_all();
    second = packs->Sync();
  });
  started.wait(false);
  env.Release(EIO);
  leader.join();
  follower.join();
  EXPECT_FALSE(first);
  EXPECT_FALSE(second) << "the record that it covers was never durable";
}

TEST(PackThreadsTest, WhatAnyThreadSyncedSurvivesAPowerCut) {
  constexpr uint64_t kAppenders = 4;
  constexpr uint64_t kBatches = 200;
  const uint64_t seed = TestSeed();
  FaultEnv env;
  MakePacksDir(env);
  auto packs = MustOpen(env);
  struct Done {
    Mutex mutex;
    std::vector<std::pair<ChunkId, Location>> durable GUARDED_BY(mutex);
  } done;
  std::atomic<uint64_t> running = kAppenders;

  const auto append = [&](uint64_t worker) {
    Random random(seed + worker);
    std::vector<std::pair<ChunkId, Location>> pending;
    for (uint64_t batch = 0; batch < kBatches; ++batch) {
      std::vector<TestChunk> chunks;
      const uint64_t count = random.Between(1, 5);
      for (uint64_t i = 0; i < count; ++i) {
        chunks.push_back(SmallChunk(1 + worker + kAppenders * (batch * 5 + i)));
      }
      const auto locations = packs->Append(Inputs(chunks));
      ASSERT_TRUE(locations);
      for (uint64_t i = 0; i < count; ++i) {
        EXPECT_TRUE(ReadsBack(*packs, (*locations)[i], chunks[i]));
        pending.emplace_back(chunks[i].header.id, (*locations)[i]);
      }
      if (random.OneIn(20)) {
        EXPECT_TRUE(packs->SealOpen());
      }
      if (!random.OneIn(3)) continue;
      ASSERT_TRUE(packs->Sync());
      MutexLock lock(done.mutex);
      done.durable.insert(done.durable.end(), pending.begin(), pending.end());
      pending.clear();
    }
  };
  const auto read = [&](uint64_t worker) {
    Random random(seed + 100 + worker);
    while (running > 0) {
      std::pair<ChunkId, Location> some;
      {
        MutexLock lock(done.mutex);
        if (done.durable.empty()) continue;
        some = done.durable[random.Below(done.durable.size())];
      }
      EXPECT_TRUE(ReadsBack(*packs, some.second, SmallChunk(some.first)));
      const auto contents =
          random.OneIn(2) ? packs->List(some.second.pack) : packs->Scan(some.second.pack);
      ASSERT_TRUE(contents);
      EXPECT_FALSE(contents->damaged) << *contents->damaged;
      EXPECT_TRUE(Names(*contents, some.second, SmallChunk(some.first)));
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t worker = 0; worker < kAppenders; ++worker) {
    threads.emplace_back([&, worker] {
      append(worker);
      --running;
    });
  }
  for (uint64_t worker = 0; worker < 2; ++worker) threads.emplace_back(read, worker);
  for (std::thread& thread : threads) thread.join();

  packs.reset();
  Random torn(seed);
  env.PowerCut(&torn);
  packs = MustOpen(env, 100000);
  MutexLock lock(done.mutex);
  EXPECT_FALSE(done.durable.empty());
  for (const auto& [id, location] : done.durable) {
    EXPECT_TRUE(ReadsBack(*packs, location, SmallChunk(id))) << "chunk " << id;
  }
}

TEST(PackThreadsTest, RemoveBesideReadersGivesTheRecordOrNoSuchPack) {
  FaultEnv env;
  MakePacksDir(env);
  auto packs = MustOpen(env);
  std::vector<Location> locations;
  for (ChunkId id = 1; id <= 200; ++id) {
    const auto location = AppendOne(*packs, id);
    ASSERT_TRUE(location);
    locations.push_back(location->front());
    ASSERT_TRUE(packs->SealOpen());
  }
  std::atomic<bool> removing = true;
  std::thread reader([&] {
    Random random(1);
    Buffer scratch;
    while (removing) {
      const uint64_t i = random.Below(locations.size());
      const auto record = packs->Read(locations[i], i + 1, scratch);
      if (record) {
        EXPECT_EQ(AsText(record->stored), SmallChunk(i + 1).content);
      } else {
        EXPECT_EQ(record.error().code, ENOENT);
      }
    }
  });
  for (const Location& location : locations) EXPECT_TRUE(packs->Remove(location.pack));
  removing = false;
  reader.join();
  for (ChunkId id = 1; id <= 200; ++id) {
    EXPECT_FALSE(ReadsBack(*packs, locations[id - 1], SmallChunk(id)));
  }
}

}  // namespace
}  // namespace dedupfs
