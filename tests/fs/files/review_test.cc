// What only an unlucky moment shows: a commit between two look-ups of one read, a full disk under a
// full budget, and one damaged file among others.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/files.h"
#include "fs/content/recipe_page.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// A database that calls back before a look-up.
class HookedKv : public Kv {
 public:
  explicit HookedKv(std::unique_ptr<Kv> kv) : kv_(std::move(kv)) {}

  std::function<void(Family, std::string_view)> before_get;

  Result<std::optional<std::string>> Get(Family family, std::string_view key) override {
    if (before_get) before_get(family, key);
    return kv_->Get(family, key);
  }
  Result<std::vector<std::optional<std::string>>> MultiGet(
      Family family, std::span<const std::string_view> keys) override {
    return kv_->MultiGet(family, keys);
  }
  Status Write(const Batch& batch, Durability durability) override {
    return kv_->Write(batch, durability);
  }
  Status SyncLog() override { return kv_->SyncLog(); }
  Status FlushLog() override { return kv_->FlushLog(); }
  std::unique_ptr<KvIterator> Iterate(Family family, std::string_view lower,
                                      std::string_view upper) override {
    return kv_->Iterate(family, lower, upper);
  }
  Status Failure() const override { return kv_->Failure(); }
  Result<uint64_t> DiskBytes() override { return kv_->DiskBytes(); }
  Status Checkpoint(const std::string& path) override { return kv_->Checkpoint(path); }
  Status CompactAll() override { return kv_->CompactAll(); }

 private:
  std::unique_ptr<Kv> kv_;
};

class ReviewTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kBudget = kMiB;

  explicit ReviewTest(uint64_t budget = 256 * kMiB) {
    EXPECT_TRUE(env_.MakeDir("/packs"));
    KvOptions kv_options;
    kv_options.create = true;
    kv_options.memtable_bytes = 8 * kMiB;
    auto kv = Kv::Open(directory_.Join("db"), kv_options);
    EXPECT_TRUE(IsOk(kv));
    kv_ = std::make_unique<HookedKv>(std::move(*kv));
    ChunkStoreOptions store_options;
    store_options.reserve_bytes = 0;
    auto store = ChunkStore::Open(env_, *kv_, pool_, "/packs", store_options);
    EXPECT_TRUE(IsOk(store));
    store_ = std::move(*store);
    FilesOptions options;
    options.dirty_budget_bytes = budget;
    options.commit_interval = std::chrono::minutes(10);
    files_ = std::make_unique<Files>(
        *kv_, *store_, options, [](Ino) { return PolicyHints{}; },
        [](Ino ino) { return std::to_string(ino); }, [](Ino, const Caller&) { return false; });
  }

  std::unique_ptr<OpenFile> Open(Ino ino) {
    auto file = files_->Open(ino, true);
    EXPECT_TRUE(IsOk(file));
    return std::move(*file);
  }
  void Write(OpenFile& file, uint64_t offset, std::string_view data) {
    ASSERT_TRUE(IsOk(files_->Write(file, offset, AsBytes(data), false)));
  }
  std::string Read(OpenFile& file, uint64_t offset, size_t size) {
    std::string out(size, '\x5a');
    const auto read =
        files_->Read(file, offset, {reinterpret_cast<std::byte*>(out.data()), out.size()});
    EXPECT_TRUE(IsOk(read));
    out.resize(read.value_or(0));
    return out;
  }

  Random random_{TestSeed()};
  TempDir directory_;
  FaultEnv env_;
  ThreadPool pool_{"test", 2};
  std::unique_ptr<HookedKv> kv_;
  std::unique_ptr<ChunkStore> store_;
  std::unique_ptr<Files> files_;
};

// The chunk that crosses the bound of two recipe pages is cut elsewhere between the look-ups of
// the two: every byte must still be one that the file has had.
TEST_F(ReviewTest, ReadDuringACommitMixesNoPagesOfTwoRecipes) {
  constexpr Ino kIno = 100;
  constexpr uint64_t kBound = kRecipePageSpan, kEdit = kBound - 40'000;
  auto file = Open(kIno);
  std::string bytes = random_.Bytes(kBound + kMiB);
  for (char& byte : bytes) byte = byte == 0 ? 'x' : byte;
  Write(*file, 0, bytes);
  ASSERT_TRUE(IsOk(files_->SyncAll()));
  for (int round = 0; round < 20; ++round) {
    std::string edit = random_.Bytes(39'000);
    for (char& byte : edit) byte = byte == 0 ? 'x' : byte;
    Write(*file, kEdit, edit);
    ASSERT_TRUE(IsOk(files_->SyncAll()));  // also forgets the pages in memory
    bool hit = false;
    std::string other = random_.Bytes(39'000);
    for (char& byte : other) byte = byte == 0 ? 'x' : byte;
    kv_->before_get = [&](Family family, std::string_view key) {
      if (hit || family != Family::kRecipe || RecipePageOfKey(key) != 1) return;
      hit = true;
      Write(*file, kEdit, other);
      EXPECT_TRUE(IsOk(files_->SyncAll()));
    };
    const std::string seen = Read(*file, kBound, 200'000);
    kv_->before_get = nullptr;
    ASSERT_TRUE(seen == bytes.substr(kBound, 200'000))
        << "round " << round << ": zeros at " << seen.find('\0');
  }
  files_->Release(std::move(file));
}

class FullBudgetTest : public ReviewTest {
 protected:
  FullBudgetTest() : ReviewTest(kBudget) {}
};

TEST_F(FullBudgetTest, WriterDoesNotWaitForeverWhereTheDiskBelowIsFull) {
  constexpr uint64_t kMany = 50;  // attempts, after which the disk has room again
  auto file = Open(100);
  auto other = Open(200);
  const std::string data = random_.Bytes(kBudget);
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kAppend;
  fault.code = ENOSPC;
  fault.sticky = true;
  env_.Inject(fault);
  Write(*file, 0, data);
  std::atomic<bool> done{false};
  std::thread rescuer([&] {
    while (!done && env_.Calls(FaultEnv::Op::kAppend) < kMany) std::this_thread::yield();
    env_.ClearFaults();
  });
  static_cast<void>(files_->Write(*other, 0, AsBytes(data).first(1000), false));
  done = true;
  rescuer.join();
  EXPECT_LT(env_.Calls(FaultEnv::Op::kAppend), kMany) << "the writer was held back all the time";
  files_->Release(std::move(other));
  files_->Release(std::move(file));
  EXPECT_TRUE(IsOk(files_->SyncAll()));
}

TEST_F(ReviewTest, DamagedRecipePageOfOneFileDoesNotHoldBackOthers) {
  auto damaged = Open(100);
  Write(*damaged, 0, random_.Bytes(kRecipePageSpan + kMiB));
  ASSERT_TRUE(IsOk(files_->SyncAll()));
  Batch batch;
  batch.Put(Family::kRecipe, RecipeKey(100, 1), "no page");
  ASSERT_TRUE(IsOk(kv_->Write(batch, Durability::kSynced)));
  ASSERT_TRUE(IsOk(files_->SetSize(100, 0)));
  auto healthy = Open(200);
  Write(*healthy, 0, random_.Bytes(kMiB));
  static_cast<void>(files_->SyncAll());
  EXPECT_TRUE(*kv_->Get(Family::kContent, ContentKey(200))) << "never committed";
  files_->Release(std::move(healthy));
  files_->Release(std::move(damaged));
}

TEST_F(ReviewTest, FsyncBesideACopyIntoTheSameFileGivesNoError) {
  auto source = Open(100);
  Write(*source, 0, random_.Bytes(kMiB));
  ASSERT_TRUE(IsOk(files_->SyncAll()));
  auto target = Open(200);
  std::atomic<bool> stop{false};
  std::thread copier([&] {
    while (!stop) EXPECT_TRUE(IsOk(files_->CopyRange(*source, 0, *target, 0, 300'000)));
  });
  Status persisted;
  for (int i = 0; i < 500 && persisted; ++i) {
    Write(*target, static_cast<uint64_t>(i), "x");
    persisted = files_->CommitInOrder(200);
  }
  stop = true;
  copier.join();
  EXPECT_TRUE(IsOk(persisted));
  files_->Release(std::move(target));
  files_->Release(std::move(source));
}

}  // namespace
}  // namespace dedupfs
