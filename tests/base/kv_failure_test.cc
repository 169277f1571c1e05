#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

// While it lives, no file of this process grows over `size_bytes`: a disk that refuses writes.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size_bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{size_bytes, old_limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  using Handler = void (*)(int);
  Handler old_handler_ = SIG_DFL;
  rlimit old_limit_{};
};

class KvFailureTest : public testing::Test {
 protected:
  static Batch One(std::string key, const std::string& value) {
    Batch batch;
    batch.Put(Family::kMeta, key, value);
    return batch;
  }

  TempDir directory_;
  const std::string path_ = directory_.Join("db");
};

TEST_F(KvFailureTest, AfterAFailedSyncEveryWriteFailsWithItsReason) {
  Random random(TestSeed());
  Result<std::unique_ptr<Kv>> kv = Kv::Open(path_, {.create = true});
  ASSERT_TRUE(kv);
  ASSERT_TRUE((*kv)->Write(One("before", "1"), Durability::kSynced));
  EXPECT_TRUE((*kv)->Failure());
  {
    const FileSizeLimit limit(1 << 20);
    Status failed = (*kv)->Write(One("large", random.Bytes(4 << 20)), Durability::kBuffered);
    if (failed) failed = (*kv)->SyncLog();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, EIO);
  }
  // The disk is well again; the log is still not to be trusted.
  const Status later = (*kv)->Write(One("later", "2"), Durability::kSynced);
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code, EROFS);
  EXPECT_NE(later.error().message.find("File too large"), std::string::npos)
      << later.error().message;
  EXPECT_FALSE((*kv)->SyncLog());
  EXPECT_FALSE((*kv)->FlushLog());
  EXPECT_FALSE((*kv)->CompactAll());
  EXPECT_EQ((*kv)->Failure().error().code, EROFS);
  EXPECT_EQ((*kv)->Get(Family::kMeta, "before").value(), "1");

  kv->reset();
  kv = Kv::Open(path_, {});
  ASSERT_TRUE(kv) << kv.error().message;
  EXPECT_EQ((*kv)->Get(Family::kMeta, "before").value(), "1");
  EXPECT_EQ((*kv)->Get(Family::kMeta, "later").value(), std::nullopt);
  EXPECT_TRUE((*kv)->Write(One("later", "2"), Durability::kSynced));
}

TEST_F(KvFailureTest, ADamagedTableIsEioNotAnAnswer) {
  Random random(TestSeed());
  Result<std::unique_ptr<Kv>> kv = Kv::Open(path_, {.create = true});
  ASSERT_TRUE(kv);
  ASSERT_TRUE((*kv)->Write(One("a", random.Bytes(1 << 20)), Durability::kSynced));
  ASSERT_TRUE((*kv)->CompactAll());
  kv->reset();
  int damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path_)) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100'000);
    file.write("damage", 6);
    ++damaged;
  }
  ASSERT_EQ(damaged, 1);
  kv = Kv::Open(path_, {});
  ASSERT_TRUE(kv) << kv.error().message;
  const auto value = (*kv)->Get(Family::kMeta, "a");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, EIO);
}

TEST_F(KvFailureTest, ALogThatFailsUnderManyThreadsIsAnErrorForEachAndDoesNotEndTheProcess) {
  for (int round = 0; round < 5; ++round) {
    const std::string path = directory_.Join("db" + std::to_string(round));
    Result<std::unique_ptr<Kv>> kv = Kv::Open(path, {.create = true});
    ASSERT_TRUE(kv);
    ASSERT_TRUE((*kv)->Write(One("before", "1"), Durability::kSynced));
    const FileSizeLimit limit(1 << 20);
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&kv, i] {
        const std::string value(20'000, static_cast<char>('a' + i));
        for (int n = 0; n < 200; ++n) {
          const auto written =
              (*kv)->Write(One("k" + std::to_string(n), value),
                           i % 2 == 0 ? Durability::kBuffered : Durability::kSynced);
          const auto synced = (*kv)->SyncLog();
          if (!written || !synced) return;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE((*kv)->Failure());
  }
}

}  // namespace
}  // namespace dedupfs
