#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <new>
#include <thread>
#include <vector>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

class CommitTest : public StoreTest {
 protected:
  Status Change(const std::vector<CountChange>& changes, const std::string& key = {}) {
    Batch batch;
    if (!key.empty()) batch.Put(Family::kMeta, key, "there");
    return store_->Commit(std::move(batch), changes, Durability::kBuffered);
  }
  bool Has(const std::string& key) {
    const auto value = kv_->Get(Family::kMeta, key);
    return value && *value;
  }
  Random random_{TestSeed()};
};

TEST_F(CommitTest, BatchAndCountsAreWrittenTogether) {
  const auto ids = Add({random_.Bytes(100), random_.Bytes(200)});
  ASSERT_TRUE(Change({{ids[0], 4}, {ids[1], -1}, {ids[0], -2}}, "key"));
  EXPECT_TRUE(Has("key"));
  EXPECT_EQ(Info(ids[0]).refcount, 3u);
  EXPECT_EQ(Info(ids[1]).refcount, 0u);
  const auto stats = store_->Stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->logical_bytes, 300u);
  EXPECT_EQ(stats->chunks, 1u);
  EXPECT_EQ(stats->dead_chunks, 1u);
  EXPECT_EQ(stats->dead_stored_bytes, 200u);
}

TEST_F(CommitTest, ACountBelowZeroIsErangeAndWritesNothing) {
  const auto ids = Add({random_.Bytes(100), random_.Bytes(200)});
  const Status below = Change({{ids[1], 1}, {ids[0], -2}}, "key");
  ASSERT_FALSE(below);
  EXPECT_EQ(below.error().code, ERANGE);
  EXPECT_NE(below.error().message.find("chunk " + std::to_string(ids[0])), std::string::npos);
  EXPECT_FALSE(Has("key"));
  EXPECT_EQ(Info(ids[0]).refcount, 1u);
  EXPECT_EQ(Info(ids[1]).refcount, 1u);
  EXPECT_TRUE(store_->Failure());
}

TEST_F(CommitTest, AnUnknownChunkIsErange) {
  const Status unknown = Change({{99999, 1}}, "key");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ERANGE);
  EXPECT_FALSE(Has("key"));
}

TEST_F(CommitTest, ChangesThatOverflowAreErange) {
  const auto ids = Add({random_.Bytes(100)});
  EXPECT_EQ(Change({{ids[0], INT64_MAX}, {ids[0], 1}}).error().code, ERANGE);
  EXPECT_EQ(Change({{ids[0], INT64_MAX}}).error().code, ERANGE);
  EXPECT_EQ(Change({{ids[0], INT64_MIN}}).error().code, ERANGE);
  EXPECT_EQ(Info(ids[0]).refcount, 1u);
}

TEST_F(CommitTest, AChunkCountedAndUncountedAtOnceIsADeadRow) {
  Pins pins;
  const auto ids = StoreAll({random_.Bytes(100)}, pins);
  ASSERT_TRUE(ids);
  ASSERT_TRUE(Change({{ids->front(), 1}, {ids->front(), -1}}));
  pins = Pins();
  EXPECT_EQ(Info(ids->front()).refcount, 0u);
  EXPECT_TRUE(Problems().empty());
}

TEST_F(CommitTest, AFailedSyncOfThePacksMakesTheStoreReadOnlyAndNamesNothing) {
  const auto kept = Add({random_.Bytes(100)});
  Pins pins;
  const auto ids = StoreAll({random_.Bytes(100)}, pins);
  ASSERT_TRUE(ids);
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kSync;
  env_.Inject(fault);
  Batch batch;
  batch.Put(Family::kMeta, "key", "there");
  const std::vector<CountChange> changes = {{ids->front(), 1}};
  EXPECT_FALSE(store_->Commit(std::move(batch), changes, Durability::kSynced));
  EXPECT_FALSE(Has("key"));
  const auto rows = LoadChunkRows(*kv_, *ids);
  ASSERT_TRUE(rows);
  EXPECT_FALSE(rows->front().row);
  EXPECT_EQ(store_->Failure().error().code, EROFS);
  EXPECT_EQ(Count(kept, -1).error().code, EROFS) << "nothing is retried as if it had worked";
  pins = Pins();
}

TEST_F(CommitTest, ANegativeChangeNeedsNoSyncOfThePacks) {
  const auto ids = Add({random_.Bytes(100)});
  const uint64_t syncs = env_.Calls(FaultEnv::Op::kSync);
  ASSERT_TRUE(Count(ids, -1));
  EXPECT_EQ(env_.Calls(FaultEnv::Op::kSync), syncs);
}

TEST_F(CommitTest, ConcurrentCommittersAddUpToTheModel) {
  std::vector<std::string> contents;
  for (int i = 0; i < 20; ++i) contents.push_back(random_.Bytes(50 + random_.Below(300)));
  const auto ids = Add(contents);
  constexpr int kThreads = 6;
  constexpr int kRounds = 150;
  std::vector<std::atomic<int64_t>> model(ids.size());
  for (auto& count : model) count = 1;
  std::atomic<int> refused = 0;
  std::vector<uint64_t> seeds(kThreads);
  for (uint64_t& seed : seeds) seed = random_.Next();
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(seeds[static_cast<size_t>(t)]);
      std::map<size_t, int64_t> mine;
      for (int round = 0; round < kRounds; ++round) {
        std::vector<CountChange> changes;
        std::map<size_t, int64_t> sums;
        for (uint64_t n = random.Between(1, 5); n > 0; --n) {
          const size_t which = random.Below(ids.size());
          const int64_t down = mine[which] + sums[which] > 0 && random.OneIn(2) ? -1 : 1;
          sums[which] += down;
          changes.push_back({ids[which], down});
        }
        const bool invalid = random.OneIn(10);
        if (invalid) changes.push_back({1000000, -1});
        const std::string key = "k" + std::to_string(t) + "-" + std::to_string(round);
        const Status done = Change(changes, key);
        EXPECT_EQ(static_cast<bool>(done), !invalid);
        EXPECT_EQ(Has(key), !invalid);
        if (invalid) ++refused;
        if (!done) continue;
        for (const auto& [which, sum] : sums) {
          mine[which] += sum;
          model[which] += sum;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::pair<ChunkId, uint64_t>> counts;
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(Info(ids[i]).refcount, static_cast<uint64_t>(model[i].load()));
    counts.emplace_back(ids[i], model[i].load());
  }
  EXPECT_GT(refused.load(), 0);
  EXPECT_EQ(Problems(&counts), std::vector<std::string>());
}

// Runs something in the middle of a sync of a pack.
class SyncHookEnv : public Env {
 public:
  explicit SyncHookEnv(Env& base) : base_(base) {}
  std::function<void()> before_sync;

  Result<std::unique_ptr<File>> Create(const std::string& path) override {
    DEDUPFS_ASSIGN_OR_RETURN(auto file, base_.Create(path));
    return std::unique_ptr<File>(new Hooked(*this, std::move(file)));
  }
  Result<std::unique_ptr<File>> OpenForRead(const std::string& path) override {
    return base_.OpenForRead(path);
  }
  Status Rename(const std::string& from, const std::string& to) override {
    return base_.Rename(from, to);
  }
  Status Remove(const std::string& path) override { return base_.Remove(path); }
  Status MakeDir(const std::string& path) override { return base_.MakeDir(path); }
  Status SyncDir(const std::string& path) override { return base_.SyncDir(path); }
  Result<std::vector<std::string>> List(const std::string& path) override {
    return base_.List(path);
  }
  Result<SpaceInfo> Space(const std::string& path) override { return base_.Space(path); }

 private:
  class Hooked : public File {
   public:
    Hooked(SyncHookEnv& env, std::unique_ptr<File> file) : env_(env), file_(std::move(file)) {}
    Result<size_t> ReadAt(uint64_t offset, MutableBytes out) override {
      return file_->ReadAt(offset, out);
    }
    Status Append(std::span<const Bytes> pieces) override { return file_->Append(pieces); }
    Status Sync() override {
      const Status synced = file_->Sync();
      if (const auto hook = std::exchange(env_.before_sync, nullptr)) hook();
      return synced;
    }
    Result<uint64_t> Size() override { return file_->Size(); }

   private:
    SyncHookEnv& env_;
    std::unique_ptr<File> file_;
  };
  Env& base_;
};

class CommitHookTest : public StoreTest {
 protected:
  CommitHookTest() { Reopen(); }
  ~CommitHookTest() override { store_.reset(); }
  Env& store_env() override { return hook_; }
  SyncHookEnv hook_{env_};
  Random random_{TestSeed()};
};

TEST_F(CommitHookTest, ARecordThatWasAppendedDuringTheSyncIsNotNamed) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content});
  const Location old = Info(ids.front()).location;
  ASSERT_TRUE(env_.FlipBit(PackPath(old.pack), old.offset + kRecordHeaderSize, 0));
  EXPECT_FALSE(ReadBack(ids.front(), content.size()));
  ASSERT_TRUE(Info(ids.front()).condemned);

  Pins pins;
  Pins late;
  ASSERT_TRUE(store_->Pin(ids, pins));
  // Something to sync, so that the sync happens.
  const auto other = StoreAll({random_.Bytes(1000)}, pins);
  ASSERT_TRUE(other);
  bool hooked = false;
  hook_.before_sync = [&] {
    const auto replaced = StoreAll({content}, late);
    hooked = replaced && *replaced == ids;
  };
  ASSERT_TRUE(Count({ids.front(), other->front()}, 1));
  ASSERT_TRUE(hooked) << "the replacement was not appended during the sync";
  EXPECT_EQ(Info(ids.front()).location, old);
  EXPECT_EQ(Info(ids.front()).refcount, 2u);

  ASSERT_TRUE(Count(ids, 1));
  EXPECT_NE(Info(ids.front()).location, old);
  EXPECT_FALSE(Info(ids.front()).condemned);
  ExpectContent(ids.front(), content);
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

TEST_F(CommitHookTest, AnExceptionInACommitIsAnErrorForEachWhoCommitsAndTheStoreTurnsReadOnly) {
  const std::string content = random_.Bytes(1000);
  const auto kept = Add({content});
  constexpr int kThreads = 6;
  std::vector<Pins> pins(kThreads);
  std::vector<std::vector<ChunkId>> ids;
  for (int i = 0; i < kThreads; ++i) {
    const auto stored = StoreAll({random_.Bytes(500)}, pins[static_cast<size_t>(i)]);
    ASSERT_TRUE(stored);
    ids.push_back(*stored);
  }
  hook_.before_sync = [] { throw std::bad_alloc(); };
  std::atomic<int> refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const Status counted = Count(ids[static_cast<size_t>(i)], 1);
      if (!counted && (counted.error().code == EIO || counted.error().code == EROFS)) ++refused;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(refused.load(), kThreads);
  const Status failure = store_->Failure();
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().code, EROFS);
  EXPECT_NE(failure.error().message.find("a commit ended early"), std::string::npos)
      << failure.error().message;
  for (const auto& one : ids) {
    const auto rows = LoadChunkRows(*kv_, one);
    ASSERT_TRUE(rows);
    EXPECT_FALSE(rows->front().row);
  }
  ExpectContent(kept.front(), content);
  pins.clear();
  PowerCut();
  ExpectContent(kept.front(), content);
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

}  // namespace
}  // namespace dedupfs
