// A writer waits where the dirty budget is used up, and goes on once there is room.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <memory>
#include <mutex>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/files.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

constexpr uint64_t kMiB = 1 << 20;
// What a change costs beside its bytes, at the most.
constexpr uint64_t kOverhead = 4096;

// A door that the flusher's thread stops at on its way through a commit.
class Gate {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void WaitUntilReached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return reached_; });
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false, open_ = false;
};

bool IsAsleep(pid_t thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::stringstream text;
  text << file.rdbuf();
  const std::string stat = text.str();
  const size_t end_of_name = stat.rfind(") ");
  return end_of_name != std::string::npos && stat.compare(end_of_name + 2, 1, "S") == 0;
}

class BackPressureTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kBudget = kMiB;

  BackPressureTest() {
    EXPECT_TRUE(env_.MakeDir("/packs"));
    KvOptions kv_options;
    kv_options.create = true;
    kv_options.memtable_bytes = 8 * kMiB;
    auto kv = Kv::Open(directory_.Join("db"), kv_options);
    EXPECT_TRUE(IsOk(kv));
    kv_ = std::move(*kv);
    ChunkStoreOptions store_options;
    store_options.reserve_bytes = 0;
    auto store = ChunkStore::Open(env_, *kv_, pool_, "/packs", store_options);
    EXPECT_TRUE(IsOk(store));
    store_ = std::move(*store);
    Build(kBudget);
  }
  ~BackPressureTest() override { gate_.Open(); }

  void Build(uint64_t budget_bytes) {
    files_.reset();
    FilesOptions options;
    options.dirty_budget_bytes = budget_bytes;
    options.commit_interval = std::chrono::minutes(10);
    const auto hints_of = [this](Ino) {
      gate_.Pass();
      return PolicyHints{};
    };
    files_ = std::make_unique<Files>(
        *kv_, *store_, options, hints_of, [](Ino ino) { return std::to_string(ino); },
        [](Ino, const Caller&) { return false; });
  }

  Random random_{TestSeed()};
  Gate gate_;
  TempDir directory_;
  FaultEnv env_;
  ThreadPool pool_{"test", 2};
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<ChunkStore> store_;
  std::unique_ptr<Files> files_;
};

TEST_F(BackPressureTest, WriterBeyondTheBudgetWaitsAndGoesOnAfterACommit) {
  auto file = files_->Open(100, true);
  ASSERT_TRUE(IsOk(file));
  const std::string data = random_.Bytes(kBudget);
  ASSERT_TRUE(IsOk(files_->Write(**file, 0, AsBytes(data), false)));
  ASSERT_GE(files_->dirty_bytes(), kBudget);
  gate_.WaitUntilReached();  // the flusher has begun on its own, long before the interval

  std::atomic<pid_t> thread{0};
  std::atomic<bool> done{false};
  Status written;
  uint64_t dirty_after = 0;
  std::thread writer([&] {
    thread = static_cast<pid_t>(::syscall(SYS_gettid));
    written = files_->Write(**file, kBudget, AsBytes(data).first(1000), false);
    dirty_after = files_->dirty_bytes();
    done = true;
  });
  while (!done && (thread == 0 || !IsAsleep(thread))) std::this_thread::yield();
  EXPECT_FALSE(done) << "a write went beyond the budget while nothing was committed";
  gate_.Open();
  writer.join();
  EXPECT_TRUE(IsOk(written));
  EXPECT_LE(dirty_after, 1000 + kOverhead);
  files_->Release(std::move(*file));
  EXPECT_TRUE(IsOk(files_->SyncAll()));
  EXPECT_EQ(files_->dirty_bytes(), 0u);
}

// 512 bytes in every 4 KiB.
void Scatter(Files& files, OpenFile& file, int changes) {
  const std::string data(512, 's');
  for (int i = 0; i < changes; ++i) {
    ASSERT_TRUE(IsOk(files.Write(file, uint64_t{4096} * i, AsBytes(data), false)));
  }
}

TEST_F(BackPressureTest, ScatteredChangesAreNotCommittedForTheSakeOfAStream) {
  Build(8 * kMiB);
  gate_.Open();
  auto scattered = files_->Open(100, true);
  auto stream = files_->Open(101, true);
  ASSERT_TRUE(IsOk(scattered) && IsOk(stream));
  constexpr int kChanges = 1200;
  ASSERT_NO_FATAL_FAILURE(Scatter(*files_, **scattered, kChanges));
  const uint64_t of_scattered = files_->dirty_bytes();
  const std::string data = random_.Bytes(4 * kMiB);
  ASSERT_TRUE(IsOk(files_->Write(**stream, 0, AsBytes(data), false)));
  while (files_->dirty_bytes() >= 4 * kMiB) std::this_thread::yield();
  EXPECT_EQ(files_->dirty_bytes(), of_scattered);
  EXPECT_TRUE(IsOk(files_->SyncAll()));
  EXPECT_EQ(files_->dirty_bytes(), 0u);
  std::string back(512, '.');
  for (int i = 0; i < kChanges; ++i) {
    const auto read =
        files_->Read(**scattered, uint64_t{4096} * i, std::as_writable_bytes(std::span(back)));
    ASSERT_TRUE(IsOk(read));
    ASSERT_EQ(back, std::string(512, 's')) << "change " << i;
  }
  files_->Release(std::move(*scattered));
  files_->Release(std::move(*stream));
}

TEST_F(BackPressureTest, ScatteredChangesAreCommittedWhereMostOfTheBudgetIsUsed) {
  // With their share for bookkeeping they are scattered (1,024) before they are half of it, and
  // three quarters long before the last.
  Build(4 * kMiB);
  auto file = files_->Open(100, true);
  ASSERT_TRUE(IsOk(file));
  ASSERT_NO_FATAL_FAILURE(Scatter(*files_, **file, 5000));
  gate_.WaitUntilReached();  // long before the interval
  gate_.Open();
  EXPECT_TRUE(IsOk(files_->SyncAll()));
  EXPECT_EQ(files_->dirty_bytes(), 0u);
  files_->Release(std::move(*file));
}

TEST_F(BackPressureTest, WriterBelowTheBudgetDoesNotWaitForACommit) {
  auto file = files_->Open(100, true);
  ASSERT_TRUE(IsOk(file));
  const std::string data = random_.Bytes(kBudget * 3 / 4);
  ASSERT_TRUE(IsOk(files_->Write(**file, 0, AsBytes(data), false)));
  gate_.WaitUntilReached();
  // Nothing is committed before the gate opens: a write that waited would not return.
  ASSERT_TRUE(IsOk(files_->Write(**file, data.size(), AsBytes(data).first(1000), false)));
  gate_.Open();
  files_->Release(std::move(*file));
  EXPECT_TRUE(IsOk(files_->SyncAll()));
}

TEST(DirtyBudgetTest, DirtyBytesStayWithinTheBudgetAndOneWriteOfEachThread) {
  constexpr uint64_t kThreads = 3, kTotal = 64 * kMiB, kWrite = 256 << 10, kBudget = 4 * kMiB;
  Random random(TestSeed());
  TestStore store(TestStoreOptions{
      .config = "dirty_budget_bytes = \"4 MiB\"\ncommit_interval_ms = 600000\nthreads = 2\n"
                "metadata_cache_bytes = \"16 MiB\"\nreserve_bytes = 0\n"
                "log_level = \"warn\"\n"});
  const std::string data = random.Bytes(kWrite);
  std::atomic<uint64_t> most{0};
  const auto write_all = [&](uint64_t number) {
    Handle file = store.CreateFile("file" + std::to_string(number));
    if (!file.ok()) return;
    std::string piece = data;
    for (uint64_t i = 0; i < kTotal / kThreads / kWrite; ++i) {
      // New content each time, so that committing takes as long as it can.
      piece.replace(0, 8, std::to_string(10'000'000 + 1000 * number + i));
      std::reverse(piece.begin(), piece.end());
      file.Write(i * kWrite, piece);
      const auto stats = store.fs().Stats();
      if (!IsOk(stats)) return;
      uint64_t seen = most;
      while (seen < stats->dirty_bytes && !most.compare_exchange_weak(seen, stats->dirty_bytes)) {
      }
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (uint64_t i = 0; i < kThreads; ++i) threads.emplace_back(write_all, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(most, 0u);
  EXPECT_LE(most, kBudget + kThreads * (kWrite + kOverhead));
  store.Settle();
  const auto stats = store.fs().Stats();
  ASSERT_TRUE(IsOk(stats));
  EXPECT_EQ(stats->dirty_bytes, 0u);
}

}  // namespace
}  // namespace dedupfs
