// Files of any size, and the bytes that were never written.
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "chunkstore/base/bytes.h"
#include "tests/fs/model/seek_checks.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr uint64_t kTiB = uint64_t{1} << 40;

int CodeOfTruncate(TestStore& store, Handle& handle, uint64_t size) {
  AttributeChange change;
  change.size = size;
  return CodeOf(store.fs().SetAttributes(handle.ino(), change, Caller{}, &handle.file()));
}

TEST(SparseTest, FileOfOneTebibyteCostsOnlyItsFewBytes) {
  TestStore store;
  Handle file = store.CreateFile("sparse");
  file.Write(0, "first");
  file.Write(kTiB / 2 + 100, "middle");
  file.Write(kTiB - 4, "last");
  for (const bool settled : {false, true}) {
    if (settled) store.Settle();
    EXPECT_EQ(file.Size(), kTiB);
    EXPECT_EQ(file.Read(0, 6), std::string("first\0", 6));
    EXPECT_EQ(file.Read(kTiB / 2 + 99, 8), std::string("\0middle\0", 8));
    EXPECT_EQ(file.Read(kTiB - 5, 100), std::string("\0last", 5));
    EXPECT_EQ(file.Read(kTiB / 4, 65536), std::string(65536, '\0'));
    const auto data = store.fs().Seek(file.file(), 8192, SEEK_DATA);
    ASSERT_TRUE(IsOk(data));
    EXPECT_LE(*data, kTiB / 2 + 100);
    if (settled) {
      EXPECT_EQ(*data, kTiB / 2);
    }
  }
  const auto hole = store.fs().Seek(file.file(), 0, SEEK_HOLE);
  ASSERT_TRUE(IsOk(hole));
  EXPECT_EQ(*hole, kHoleBlock);
  const auto stats = store.fs().Stats();
  ASSERT_TRUE(IsOk(stats));
  EXPECT_LE(stats->store.logical_bytes, 3 * kHoleBlock);
  const auto attributes = store.fs().GetAttributes(file.ino());
  ASSERT_TRUE(IsOk(attributes));
  EXPECT_LE(attributes->blocks * 512, 3 * kHoleBlock);
}

TEST(SparseTest, CopyOfOneTebibyteKeepsItsHoles) {
  TestStore store;
  Handle file = store.CreateFile("sparse");
  file.Write(kTiB / 2, "middle");
  file.Truncate(kTiB);
  Handle copy = store.CreateFile("copy");
  const auto copied = store.fs().CopyRange(file.file(), 0, copy.file(), 0, kTiB);
  ASSERT_TRUE(IsOk(copied));
  EXPECT_EQ(*copied, kTiB);
  EXPECT_EQ(copy.Size(), kTiB);
  EXPECT_EQ(copy.Read(kTiB / 2 - 1, 8), std::string("\0middle\0", 8));
  file.Close();
  copy.Close();
  store.ExpectCleanCheck();
}

TEST(SparseTest, NothingLiesBeyondTheGreatestFileSize) {
  TestStore store;
  Handle file = store.CreateFile("big");
  file.Write(kMaxFileSize - 4, "last");
  EXPECT_EQ(file.Size(), kMaxFileSize);
  EXPECT_EQ(CodeOf(store.fs().Write(file.file(), kMaxFileSize, AsBytes("x"), false)), EFBIG);
  EXPECT_EQ(CodeOf(store.fs().Write(file.file(), kMaxFileSize - 2, AsBytes("over"), false)), EFBIG);
  EXPECT_EQ(file.Read(kMaxFileSize - 4, 8), "last") << "a refused write takes nothing";
  EXPECT_EQ(CodeOf(store.fs().Write(file.file(), ~uint64_t{0} - 1, AsBytes("over"), false)), EFBIG);
  EXPECT_EQ(CodeOf(store.fs().Allocate(file.file(), 0, kMaxFileSize - 1, 2)), EFBIG);
  EXPECT_EQ(CodeOfTruncate(store, file, kMaxFileSize + 1), EFBIG);
  EXPECT_EQ(CodeOfTruncate(store, file, kMaxFileSize), 0);
  EXPECT_EQ(file.Read(kMaxFileSize - 4, 8), "last");
}

TEST(SparseTest, ReadAtOrBeyondTheEndGivesNothing) {
  TestStore store;
  store.PutFile("file", "12345");
  Handle file = store.OpenFile("file", O_RDONLY);
  for (const bool settled : {false, true}) {
    if (settled) store.Settle();
    EXPECT_EQ(file.Read(3, 100), "45");
    EXPECT_EQ(file.Read(5, 1), "");
    EXPECT_EQ(file.Read(uint64_t{1} << 50, 4096), "");
    EXPECT_EQ(file.Read(0, 0), "");
  }
  EXPECT_EQ(store.CreateFile("empty").Read(0, 10), "");
}

// The bytes that a shrink cut off are dirty, chunked or reopened: never seen again.
TEST(SparseTest, BytesCutOffNeverComeBack) {
  TestStore store;
  for (const uint64_t cut : {uint64_t{0}, uint64_t{1}, uint64_t{4096}, uint64_t{70001}}) {
    for (int stage = 0; stage < 8; ++stage) {
      SCOPED_TRACE("cut " + std::to_string(cut) + " stage " + std::to_string(stage));
      const std::string name = "f" + std::to_string(cut) + "." + std::to_string(stage);
      const std::string old(200000, 'x');
      Handle file = store.CreateFile(name);
      file.Write(0, old);
      if ((stage & 1) != 0) store.Settle();
      file.Truncate(cut);
      if ((stage & 2) != 0) file.Fsync();
      file.Truncate(150000);
      const std::string expected = old.substr(0, cut) + std::string(150000 - cut, '\0');
      EXPECT_TRUE(file.ReadAll() == expected) << "at once";
      if ((stage & 4) != 0) {
        file.Close();
        store.Reopen();
        file = store.OpenFile(name);
        EXPECT_TRUE(file.ReadAll() == expected) << "reopened";
      }
      file.Write(149999, "y");
      store.Settle();
      EXPECT_TRUE(file.ReadAll() == expected.substr(0, 149999) + "y") << "settled";
    }
  }
}

TEST(SparseTest, ShrinkWithinABlockClearsTheRestOfTheBlock) {
  TestStore store;
  Handle file = store.CreateFile("file");
  file.Write(0, std::string(4096, 'x'));
  file.Fsync();
  file.Truncate(100);
  file.Write(3000, "y");
  const std::string expected = std::string(100, 'x') + std::string(2900, '\0') + "y";
  EXPECT_TRUE(file.ReadAll() == expected);
  store.Settle();
  EXPECT_TRUE(file.ReadAll() == expected);
}

TEST(SparseTest, PunchedBlocksAreHolesAndTheirSpaceComesBack) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(1 << 20);
  store.PutFile("file", bytes);
  const uint64_t before = store.SettledStats().store.unique_bytes;
  EXPECT_EQ(before, bytes.size());
  Handle file = store.OpenFile("file");
  ASSERT_TRUE(IsOk(store.fs().Allocate(file.file(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                       1000, bytes.size() - 2000)));
  std::string expected = bytes;
  expected.replace(1000, bytes.size() - 2000, bytes.size() - 2000, '\0');
  EXPECT_TRUE(file.ReadAll() == expected);
  EXPECT_LE(store.SettledStats().store.unique_bytes, 2 * kHoleBlock);
  ExpectExactHoles(store.fs(), file.file(), expected);
  EXPECT_TRUE(file.ReadAll() == expected);
}

}  // namespace
}  // namespace dedupfs
