// EIO from the disk below at every call, in packs and database alike: the caller is told, the store
// turns read-only where it must and says why, and nothing acknowledged is lost.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "tests/fs/crash_points/recorded_store.h"
#include "tests/support/point_stride.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

// Every kind of durable step once. Stops at the first error, which it returns.
Status Work(RecordedStore& store, Random& random) {
  History& h = store.history();
  DEDUPFS_RETURN_IF_ERROR(h.MakeFile("new"));
  DEDUPFS_RETURN_IF_ERROR(h.Write("new", 0, random.Bytes(5000)));
  DEDUPFS_RETURN_IF_ERROR(h.Fsync("new"));
  DEDUPFS_RETURN_IF_ERROR(h.Write("large", 50'000, random.Bytes(150'000)));
  DEDUPFS_RETURN_IF_ERROR(h.Fsync("large"));
  DEDUPFS_RETURN_IF_ERROR(h.MakeFile("fresh"));
  DEDUPFS_RETURN_IF_ERROR(h.Write("fresh", 0, random.Bytes(80'000)));
  DEDUPFS_RETURN_IF_ERROR(h.Rename("fresh", "large"));
  DEDUPFS_RETURN_IF_ERROR(h.FsyncDirectory(""));
  DEDUPFS_RETURN_IF_ERROR(h.Copy("large", 0, "new", 8192, 60'000));
  DEDUPFS_RETURN_IF_ERROR(h.Unlink("small"));
  DEDUPFS_RETURN_IF_ERROR(h.SyncAll());
  DEDUPFS_RETURN_IF_ERROR(h.Reclaim());
  return h.Recompress();
}

void SetUpStore(RecordedStore& store, Random& random) {
  ASSERT_TRUE(store.Format());
  ASSERT_TRUE(store.Open());
  History& h = store.history();
  ASSERT_TRUE(h.MakeFile("large"));
  ASSERT_TRUE(h.Write("large", 0, random.Bytes(200'000)));
  ASSERT_TRUE(h.MakeFile("small"));
  ASSERT_TRUE(h.Write("small", 0, "small and synced"));
  ASSERT_TRUE(store.Close());  // so that the open, and reading tables, are part of the workload
}

// Whether an error of this call leaves it unknown what is durable.
bool MustStopWriting(const FaultDisk::Victim& victim) {
  const bool pack = victim.path.find("/packs/") != std::string::npos;
  const bool log = victim.path.ends_with(".log");
  return (victim.call == "sync" && (pack || log)) || (victim.call == "write" && (pack || log)) ||
         (victim.call == "sync of the directory" && victim.path.ends_with("packs"));
}

void ExpectReadOnlyWithReason(FileSystem& fs) {
  EXPECT_FALSE(fs.Failure()) << "the store still takes writes";
  if (const auto stats = fs.Stats(); stats) {
    EXPECT_NE(stats->read_only_reason, "");
    EXPECT_NE(stats->read_only_reason.find("Input/output error"), std::string::npos)
        << stats->read_only_reason;
  }
  const auto refused = fs.Create(kRootIno, "refused", S_IFREG | 0644, 0, "", Caller{});
  EXPECT_FALSE(refused);
  if (!refused) {
    EXPECT_EQ(refused.error().code, EROFS) << refused.error().message;
  }
}

class IoErrorTest : public ::testing::TestWithParam<bool> {
 protected:
  // One run with a fault at call `nth`; false if the workload makes fewer calls.
  bool Run(uint64_t nth, bool sticky) {
    Random random(seed_);
    RecordedStore store;
    SetUpStore(store, random);
    if (HasFatalFailure()) return false;
    FaultDisk& disk = store.disk();
    disk.FailCall({.nth = nth, .sticky = sticky});
    Status status = store.Open();
    if (status) {
      status = Work(store, random);
      if (const auto hit = disk.victim(); hit && MustStopWriting(*hit)) {
        SCOPED_TRACE(hit->call + " of " + hit->path);
        // An error behind the back of the caller shows at the latest in the next sync.
        if (status) status = store.history().SyncAll();
        EXPECT_FALSE(status) << "nobody was told";
        ++read_only_;
        ExpectReadOnlyWithReason(store.fs());
      }
      static_cast<void>(store.Close());
    }
    const auto victim = disk.victim();
    if (!victim) return false;
    ++calls_[victim->call];
    if (!status) ++told_;
    SCOPED_TRACE("call " + std::to_string(nth) + ": " + victim->call + " of " + victim->path +
                 (status ? "" : "; the caller was told: " + status.error().message));
    // The one documented step: end the daemon and mount again, with or without a power cut.
    disk.Heal();
    store.TryCrashNow(Loss::kNothing, seed_ + nth);
    store.TryCrashNow(Loss::kUnsynced, seed_ + nth);
    return true;
  }

  const uint64_t seed_ = TestSeed();
  std::map<std::string, uint64_t> calls_;
  uint64_t told_ = 0;
  uint64_t read_only_ = 0;
};

TEST_P(IoErrorTest, AtEveryCallLosesNothingAcknowledged) {
  constexpr uint64_t kInCi = 7;  // one call in so many; all of them where the stride is given
  const uint64_t stride =
      std::getenv("DEDUPFS_CRASH_STRIDE") != nullptr ? PointStride() : PointStride() * kInCi;
  const uint64_t first = 1 + seed_ % stride;
  uint64_t points = 0;
  for (uint64_t nth = first; Run(nth, GetParam()) && !HasFailure(); nth += stride) ++points;
  std::cerr << "EIO at every " << stride << "th call from " << first << " on: " << points
            << " points, told " << told_ << " times, read-only " << read_only_ << " times;";
  for (const auto& [call, count] : calls_) std::cerr << " " << call << " " << count;
  std::cerr << '\n';
  EXPECT_GT(points, 0u);
}

INSTANTIATE_TEST_SUITE_P(Disk, IoErrorTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "DiesForGood" : "FailsOnce"; });

}  // namespace
}  // namespace dedupfs
