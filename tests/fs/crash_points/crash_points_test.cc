// A crash at every call of the disk, packs and database alike, in short histories of every kind of
// operation: what was promised is there, nothing else is harmed, and the check is clean.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fs/content/open_file.h"  // OpenFile whole, for its unique_ptr
#include "fs/content/recipe_page.h"
#include "tests/fs/crash_points/recorded_store.h"
#include "tests/support/point_stride.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

class CrashPointsTest : public ::testing::Test {
 protected:
  // A store with two synced files, a directory and a file in it.
  void SetUpStore() {
    ASSERT_TRUE(store_.Format());
    ASSERT_TRUE(store_.Open());
    History& h = store_.history();
    ASSERT_TRUE(h.MakeFile("large"));
    ASSERT_TRUE(h.Write("large", 0, Bytes(300'000)));
    ASSERT_TRUE(h.MakeFile("small"));
    ASSERT_TRUE(h.Write("small", 0, "small and synced"));
    ASSERT_TRUE(h.MakeDirectory("dir"));
    ASSERT_TRUE(h.MakeFile("dir/below"));
    ASSERT_TRUE(h.Write("dir/below", 0, Bytes(70'000)));
    ASSERT_TRUE(h.SyncAll());
    from_ = store_.disk().Now();
  }

  std::string Bytes(size_t size) { return random_.Bytes(size); }

  // Runs `work` on the store, closes it and tries every crash since, or about `points` of them.
  void TryEveryCrashOf(const std::function<void(History&)>& work, uint64_t points = UINT64_MAX) {
    SetUpStore();
    ASSERT_FALSE(HasFatalFailure());
    work(store_.history());
    ASSERT_FALSE(HasFailure());
    ASSERT_TRUE(store_.Close());
    TryAll(points);
  }

  void TryAll(uint64_t points = UINT64_MAX) {
    const uint64_t calls = store_.disk().Now() - from_ + 1;
    const uint64_t stride = std::min(std::max(PointStride(), calls / points), calls);
    const uint64_t offset = seed_ % stride;
    if (stride > 1) std::cerr << "every " << stride << "th call from " << offset << " on\n";
    const auto tried = store_.TryEveryCrash(from_ + offset, stride, 1, seed_);
    EXPECT_GT(tried.instants, 0u);
  }

  const uint64_t seed_ = TestSeed();
  Random random_{seed_};
  RecordedStore store_;
  uint64_t from_ = 0;
};

TEST_F(CrashPointsTest, FormatIsAStoreOrNone) {
  ASSERT_TRUE(store_.Format());
  ASSERT_TRUE(store_.Open());
  ASSERT_TRUE(store_.history().MakeFile("first"));
  ASSERT_TRUE(store_.history().Write("first", 0, "of all"));
  ASSERT_TRUE(store_.history().Fsync("first"));
  ASSERT_TRUE(store_.Close());
  TryAll();
}

TEST_F(CrashPointsTest, SmallWriteAndFsync) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.MakeFile("new"));
    ASSERT_TRUE(h.Write("new", 0, Bytes(5000)));
    ASSERT_TRUE(h.Fsync("new"));
    ASSERT_TRUE(h.Write("new", 2000, Bytes(1000)));
    ASSERT_TRUE(h.Fsync("new"));
    ASSERT_TRUE(h.MakeFile("never synced"));
    ASSERT_TRUE(h.Write("never synced", 0, Bytes(1000)));
  });
}

TEST_F(CrashPointsTest, LargeWriteAndFsync) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.MakeFile("new"));
    ASSERT_TRUE(h.Write("new", 0, Bytes(400'000)));
    ASSERT_TRUE(h.Fsync("new"));
    ASSERT_TRUE(h.Write("new", 100'000, Bytes(150'000)));
    ASSERT_TRUE(h.Fsync("new"));
  });
}

TEST_F(CrashPointsTest, OverwriteInPlace) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.Write("large", 50'000, Bytes(200'000)));
    ASSERT_TRUE(h.Fsync("large"));
    ASSERT_TRUE(h.Write("large", 0, Bytes(100'000)));
    ASSERT_TRUE(h.Write("small", 3, "other"));
    ASSERT_TRUE(h.SyncAll());
  });
}

TEST_F(CrashPointsTest, RenameOver) {
  TryEveryCrashOf([&](History& h) {
    for (const char* const target : {"large", "small"}) {
      ASSERT_TRUE(h.MakeFile("fresh"));
      ASSERT_TRUE(h.Write("fresh", 0, Bytes(100'000)));
      ASSERT_TRUE(h.Rename("fresh", target));
      ASSERT_TRUE(h.FsyncDirectory(""));
    }
    ASSERT_TRUE(h.Rename("dir", "moved"));
    ASSERT_TRUE(h.Rename("moved/below", "above"));
    ASSERT_TRUE(h.FsyncDirectory("moved"));
  });
}

TEST_F(CrashPointsTest, UnlinkPurgeAndReclaim) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.Unlink("large"));
    ASSERT_TRUE(h.FsyncDirectory(""));
    ASSERT_TRUE(h.Unlink("dir/below"));
    ASSERT_TRUE(h.RemoveDirectory("dir"));
    ASSERT_TRUE(h.Reclaim());
    ASSERT_TRUE(h.SyncAll());
    ASSERT_TRUE(h.MakeFile("after"));
    ASSERT_TRUE(h.Write("after", 0, Bytes(100'000)));
    ASSERT_TRUE(h.Fsync("after"));
  });
}

TEST_F(CrashPointsTest, TruncateAndRewrite) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.Truncate("large", 0, true));
    ASSERT_TRUE(h.Write("large", 0, Bytes(120'000)));
    ASSERT_TRUE(h.Fsync("large"));
    ASSERT_TRUE(h.Truncate("large", 33'333));
    ASSERT_TRUE(h.Fsync("large"));
    ASSERT_TRUE(h.Truncate("large", 80'000));
    ASSERT_TRUE(h.SyncAll());
  });
}

TEST_F(CrashPointsTest, LinksAndDirectories) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.Link("large", "dir/linked"));
    ASSERT_TRUE(h.MakeDirectory("dir/deep"));
    ASSERT_TRUE(h.Link("small", "dir/deep/linked"));
    ASSERT_TRUE(h.FsyncDirectory("dir/deep"));
    ASSERT_TRUE(h.Unlink("large"));
    ASSERT_TRUE(h.Unlink("dir/linked"));
    ASSERT_TRUE(h.FsyncDirectory(""));
  });
}

TEST_F(CrashPointsTest, CopyFileRange) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.MakeFile("copy"));
    ASSERT_TRUE(h.Copy("large", 0, "copy", 0, 300'000));
    ASSERT_TRUE(h.Fsync("copy"));
    ASSERT_TRUE(h.Write("large", 10'000, Bytes(50'000)));
    ASSERT_TRUE(h.Copy("large", 4096, "small", 8192, 100'000));
    ASSERT_TRUE(h.Unlink("large"));
    ASSERT_TRUE(h.Fsync("small"));
  });
}

TEST_F(CrashPointsTest, SealAndRecompress) {
  TryEveryCrashOf([&](History& h) {
    // Text, which lz4 takes and zstd takes better.
    std::string text;
    while (text.size() < 200'000) text += "line " + std::to_string(random_.Below(5000)) + "\n";
    ASSERT_TRUE(h.MakeFile("text"));
    ASSERT_TRUE(h.Write("text", 0, text));
    ASSERT_TRUE(h.Fsync("text"));
    ASSERT_TRUE(h.Unlink("large"));
    ASSERT_TRUE(h.Recompress());
    ASSERT_TRUE(h.Write("text", 0, "changed"));
    ASSERT_TRUE(h.SyncAll());
  });
}

TEST_F(CrashPointsTest, CommitGroupOfManyFiles) {
  TryEveryCrashOf([&](History& h) {
    const std::string shared = Bytes(40'000);
    for (int i = 0; i < 12; ++i) {
      const std::string name = "many" + std::to_string(i);
      ASSERT_TRUE(h.MakeFile(name));
      ASSERT_TRUE(h.Write(name, 0, shared));
      ASSERT_TRUE(h.Write(name, shared.size(), Bytes(20'000)));
    }
    ASSERT_TRUE(h.SyncAll());
    for (int i = 0; i < 12; i += 2) {
      ASSERT_TRUE(h.Unlink("many" + std::to_string(i)));
    }
    ASSERT_TRUE(h.Reclaim());
    ASSERT_TRUE(h.SyncAll());
  });
}

// Each state is 66 MiB, so only few are tried.
TEST_F(CrashPointsTest, LargeWriteThatSealsAPack) {
  TryEveryCrashOf(
      [&](History& h) {
        constexpr size_t kFileBytes = 1 << 20;
        for (int i = 0; i < 66; ++i) {
          const std::string name = "part" + std::to_string(i);
          ASSERT_TRUE(h.MakeFile(name));
          ASSERT_TRUE(h.Write(name, 0, Bytes(kFileBytes)));
          if (i % 16 == 0) {
            ASSERT_TRUE(h.Fsync(name));
          }
        }
        ASSERT_TRUE(h.SyncAll());
      },
      PointStride() == 1 ? 4 : 1);
}

// What a recovery does is a history as well.
TEST_F(CrashPointsTest, ClosingAndOpening) {
  TryEveryCrashOf([&](History& h) {
    ASSERT_TRUE(h.Write("small", 0, Bytes(3000)));
    ASSERT_TRUE(h.Fsync("small"));  // rows that the next mount chunks
    ASSERT_TRUE(h.Unlink("dir/below"));
    ASSERT_TRUE(store_.Close());
    ASSERT_TRUE(store_.Open());
    ASSERT_TRUE(store_.history().Write("large", 0, Bytes(100)));
    ASSERT_TRUE(store_.history().Fsync("large"));
  });
}

class LargeFileTest : public CrashPointsTest {
 protected:
  // A file of more recipe pages than one batch of a purge takes, with a chunk in each; nobody but
  // the handle knows it any more once its name is gone, and the ledger never does.
  void MakeSparse() {
    Attributes made;
    auto file = store_.fs().CreateAndOpen(kRootIno, "sparse", S_IFREG | 0644,
                                          O_RDWR | O_CREAT | O_EXCL, Caller{}, made);
    ASSERT_TRUE(file) << file.error().message;
    file_ = std::move(*file);
    ino_ = made.ino;
    for (uint64_t page = 0; page < kPages; ++page) {
      const std::string data = Bytes(4096);
      ASSERT_TRUE(store_.fs().Write(*file_, page * kRecipePageSpan, AsBytes(data), false));
    }
    ASSERT_TRUE(store_.fs().SyncAll());
  }
  void UnlinkSparse() {
    ASSERT_TRUE(store_.fs().Unlink(kRootIno, "sparse"));
    ASSERT_TRUE(store_.fs().FsyncDirectory(kRootIno));
  }
  // The end of its last user.
  void LetGo() {
    store_.fs().Release(std::move(file_));
    store_.fs().Forget(ino_, 1);
  }

  static constexpr uint64_t kPages = 150;
  std::unique_ptr<OpenFile> file_;
  Ino ino_ = 0;
};

TEST_F(LargeFileTest, ACrashAnywhereInThePurgeOfManyPagesLosesAndLeaksNothing) {
  SetUpStore();
  ASSERT_FALSE(HasFatalFailure());
  MakeSparse();
  UnlinkSparse();
  ASSERT_FALSE(HasFatalFailure());
  from_ = store_.disk().Now();
  LetGo();
  ASSERT_TRUE(store_.fs().WaitForBackground());
  ASSERT_TRUE(store_.fs().SyncAll());
  EXPECT_EQ(store_.fs().Stats().value().orphans, 0u);
  ASSERT_TRUE(store_.Close());
  TryAll(60);
}

TEST_F(LargeFileTest, AnUnlinkWritesLittleHoweverLargeTheFile) {
  SetUpStore();
  ASSERT_FALSE(HasFatalFailure());
  MakeSparse();
  const uint64_t before = store_.disk().Now();
  UnlinkSparse();
  ASSERT_FALSE(HasFatalFailure());
  const std::vector<DiskCall> record = store_.disk().Record();
  uint64_t bytes = 0;
  for (uint64_t call = before; call < record.size(); ++call) {
    // The zeros that are written ahead of the log's end are not part of it.
    const std::string& data = record[call].data;
    bytes += data.size() - static_cast<size_t>(std::count(data.begin(), data.end(), '\0'));
  }
  EXPECT_GT(bytes, 0u);
  EXPECT_LT(bytes, kPages * 16) << "a few bytes for each page would be its chunk ids";
  LetGo();
  ASSERT_TRUE(store_.fs().WaitForBackground());
  ASSERT_TRUE(store_.Close());
}

}  // namespace
}  // namespace dedupfs
