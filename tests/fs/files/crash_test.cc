// What a killed daemon leaves: promises about a copy of the store taken while it is open.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/fs/model/content_pool.h"
#include "tests/fs/model/store_snapshot.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

constexpr std::string_view kFastCommits =
    "commit_interval_ms = 10\nthreads = 2\nmetadata_cache_bytes = \"16 MiB\"\nreserve_bytes = 0\n"
    "log_level = \"warn\"\n";

// Takes copies of a store and opens them, one at a time.
class Crash {
 public:
  explicit Crash(const TestStore& store) : original_(store.directory()) {}

  TestStore& Take() {
    copy_.reset();
    CopyStoreOfOneInstant(original_, temp_.Join("copy"));
    copy_ = std::make_unique<TestStore>(temp_.Join("copy"));
    return *copy_;
  }

 private:
  const std::string original_;
  TempDir temp_;
  std::unique_ptr<TestStore> copy_;
};

TEST(CrashTest, FsyncedSmallFileIsWholeAndEarlierNamesAreThere) {
  TestStore store({.config = kQuietConfig});
  store.PutFile("earlier", "");
  Handle file = store.CreateFile("kept");
  const std::string content(5000, 'k');
  file.Write(0, content);
  file.Fsync();
  Crash crash(store);
  TestStore& copy = crash.Take();
  EXPECT_TRUE(copy.Exists("earlier"));
  EXPECT_TRUE(copy.GetFile("kept") == content);
  copy.Settle();
  EXPECT_TRUE(copy.GetFile("kept") == content) << "chunked from its dirty rows";
  copy.ExpectCleanCheck();
}

TEST(CrashTest, FsyncKeepsSizeHolesAndEveryEditBeforeIt) {
  Random random(TestSeed());
  TestStore store({.config = kQuietConfig});
  const ContentPool pool(random);
  Handle file = store.CreateFile("file");
  std::string bytes;
  Crash crash(store);
  for (int round = 0; round < 8; ++round) {
    const uint64_t offset = random.Below(bytes.size() + 20000);
    const std::string data = pool.Make(random, random.Between(1, round % 2 == 0 ? 3000 : 200000));
    if (bytes.size() < offset + data.size()) bytes.resize(offset + data.size(), '\0');
    bytes.replace(offset, data.size(), data);
    file.Write(offset, data);
    if (random.OneIn(3)) {
      bytes.resize(random.Below(bytes.size()) + 1);
      file.Truncate(bytes.size());
    }
    file.Fsync();
    // Not synced: may be there or not, but takes nothing away.
    store.PutFile("unsynced" + std::to_string(round), "unsynced");
    TestStore& copy = crash.Take();
    ASSERT_TRUE(copy.GetFile("file") == bytes) << "round " << round;
    copy.ExpectCleanCheck();
  }
}

TEST(CrashTest, UnsyncedOverwriteLeavesEachByteOldOrNew) {
  TestStore store({.config = kFastCommits});
  constexpr size_t kSize = 300000;
  Handle file = store.CreateFile("file");
  file.Write(0, std::string(kSize, '0'));
  file.Fsync();
  Crash crash(store);
  for (char letter = '1'; letter <= '6'; ++letter) {
    file.Write(50000, std::string(200000, letter));
    const std::string found = crash.Take().GetFile("file");
    ASSERT_EQ(found.size(), kSize);
    EXPECT_EQ(found.substr(0, 50000), std::string(50000, '0'));
    EXPECT_EQ(found.substr(250000), std::string(50000, '0'));
    for (const char byte : std::set<char>(found.begin() + 50000, found.begin() + 250000)) {
      EXPECT_TRUE(byte >= '0' && byte <= letter) << byte;
    }
  }
}

TEST(CrashTest, RenameOverLeavesTheOldOrTheNewContentAndNeverLess) {
  Random random(TestSeed());
  TestStore store({.config = kFastCommits});
  const ContentPool pool(random);
  std::vector<std::string> contents{"content 0 " + pool.Make(random, 50000)};
  store.PutFile("target", contents.front());
  store.OpenFile("target").Fsync();
  Crash crash(store);
  size_t last = 0;
  const auto expect_one_of_them = [&] {
    const std::string found = crash.Take().GetFile("target");
    size_t which = contents.size();
    for (size_t i = 0; i < contents.size(); ++i) {
      if (contents[i] == found) which = i;
    }
    ASSERT_LT(which, contents.size()) << found.size() << " bytes that nobody wrote so";
    EXPECT_GE(which, last) << "a later crash took more back";
    last = which;
  };
  for (int round = 1; round <= 8; ++round) {
    contents.push_back("content " + std::to_string(round) + " " +
                       pool.Make(random, random.Between(1, round % 3 == 0 ? 2000 : 300000)));
    store.PutFile("target.new", contents.back());
    ASSERT_NO_FATAL_FAILURE(expect_one_of_them());
    ASSERT_TRUE(IsOk(store.fs().Rename(kRootIno, "target.new", kRootIno, "target", 0)));
    ASSERT_NO_FATAL_FAILURE(expect_one_of_them());
  }
  store.CreateFile("other").Fsync();
  ASSERT_NO_FATAL_FAILURE(expect_one_of_them());
  EXPECT_EQ(last, contents.size() - 1) << "a later fsync of any file makes the rename durable";
}

TEST(CrashTest, TruncateAndRewriteLeavesTheOldOrTheNewContent) {
  TestStore store({.config = kQuietConfig});
  const std::string before(40000, 'o'), after(30000, 'n');
  store.PutFile("file", before);
  store.OpenFile("file").Fsync();
  Crash crash(store);
  store.PutFile("file", after);
  const std::string at_close = crash.Take().GetFile("file");
  EXPECT_TRUE(at_close == before || at_close == after) << at_close.size() << " bytes";
  store.CreateFile("other").Fsync();
  const std::string later = crash.Take().GetFile("file");
  EXPECT_TRUE(later == before || later == after) << later.size() << " bytes";
}

// Waits for a commit of the background that brings the logical bytes to `bytes`.
void WaitForLogicalBytes(TestStore& store, uint64_t bytes) {
  while (true) {
    const auto stats = store.fs().Stats();
    ASSERT_TRUE(IsOk(stats));
    if (stats->store.logical_bytes == bytes) return;
    std::this_thread::yield();
  }
}

TEST(CrashTest, BackgroundCommitDoesNotCatchAnEmptiedFileBeforeItIsRewritten) {
  TestStore store;  // commits every 50 ms
  const std::string before(40000, 'o'), after(30000, 'n'), other(5000, 'x');
  store.PutFile("file", before);
  store.OpenFile("file").Fsync();
  ASSERT_NO_FATAL_FAILURE(WaitForLogicalBytes(store, before.size()));
  Crash crash(store);
  {
    Handle file = store.OpenFile("file", O_RDWR | O_TRUNC);
    store.PutFile("other", other);
    ASSERT_NO_FATAL_FAILURE(WaitForLogicalBytes(store, before.size() + other.size()));
    EXPECT_TRUE(crash.Take().GetFile("file") == before);
    file.Write(0, after);
  }
  ASSERT_NO_FATAL_FAILURE(WaitForLogicalBytes(store, after.size() + other.size()));
  EXPECT_TRUE(crash.Take().GetFile("file") == after);
}

TEST(CrashTest, NamesAreDurableAfterTheSyncOfADirectory) {
  TestStore store({.config = kQuietConfig});
  store.PutFile("one", "");
  store.PutFile("two", "");
  ASSERT_TRUE(IsOk(store.fs().Rename(kRootIno, "one", kRootIno, "three", 0)));
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "two")));
  ASSERT_TRUE(IsOk(store.fs().FsyncDirectory(kRootIno)));
  Crash crash(store);
  TestStore& copy = crash.Take();
  EXPECT_TRUE(copy.Exists("three"));
  EXPECT_FALSE(copy.Exists("one"));
  EXPECT_FALSE(copy.Exists("two"));
}

TEST(CrashTest, UnlinkedFileThatWasOpenIsPurgedAfterTheCrash) {
  Random random(TestSeed());
  TestStore store({.config = kQuietConfig});
  const uint64_t empty_inodes = store.SettledStats().inodes;
  Handle file = store.CreateFile("gone");
  file.Write(0, random.Bytes(500000));
  file.Fsync();
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "gone")));
  ASSERT_TRUE(IsOk(store.fs().SyncAll()));
  Crash crash(store);
  TestStore& copy = crash.Take();
  ExpectEmptyStore(copy.SettledStats(), empty_inodes);
  copy.ExpectCleanCheck();
}

TEST(CrashTest, EveryInstantOfBusyWorkLeavesACleanStore) {
  Random random(TestSeed());
  TestStore store({.config = kFastCommits});
  const ContentPool pool(random);
  Crash crash(store);
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 15; ++i) {
      const std::string name = "f" + std::to_string(random.Below(10));
      if (random.OneIn(4) && store.Exists(name)) {
        EXPECT_TRUE(IsOk(store.fs().Unlink(kRootIno, name)));
      } else {
        store.PutFile(name, pool.Make(random, random.Below(100000)));
      }
    }
    crash.Take().ExpectCleanCheck();
  }
}

}  // namespace
}  // namespace dedupfs
