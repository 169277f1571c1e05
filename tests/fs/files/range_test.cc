// Calls on ranges and handles: their limits, and what they must refuse.
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

TEST(RangeTest, CopyStopsAtTheEndOfTheSource) {
  TestStore store;
  store.PutFile("from", "0123456789");
  Handle from = store.OpenFile("from"), to = store.CreateFile("to");
  const auto part = store.fs().CopyRange(from.file(), 7, to.file(), 2, 100);
  ASSERT_TRUE(IsOk(part));
  EXPECT_EQ(*part, 3u);
  EXPECT_EQ(to.ReadAll(), std::string("\0\000789", 5));
  const auto none = store.fs().CopyRange(from.file(), 10, to.file(), 0, 5);
  ASSERT_TRUE(IsOk(none));
  EXPECT_EQ(*none, 0u);
  EXPECT_EQ(to.Size(), 5u);
}

TEST(RangeTest, CopyWithinAFileIsRefusedOnlyWhereTheRangesOverlap) {
  TestStore store;
  store.PutFile("file", "0123456789");
  Handle file = store.OpenFile("file");
  EXPECT_EQ(CodeOf(store.fs().CopyRange(file.file(), 0, file.file(), 4, 5)), EINVAL);
  EXPECT_EQ(file.ReadAll(), "0123456789");
  ASSERT_TRUE(IsOk(store.fs().CopyRange(file.file(), 0, file.file(), 5, 5)));
  EXPECT_EQ(file.ReadAll(), "0123401234");
}

TEST(RangeTest, CopyTakesTheBytesOfItsTimeNotLaterOnes) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(300001);
  store.PutFile("from", bytes);
  Handle from = store.OpenFile("from"), to = store.CreateFile("to");
  ASSERT_TRUE(IsOk(store.fs().CopyRange(from.file(), 1, to.file(), 0, bytes.size())));
  from.Write(0, std::string(bytes.size(), 'x'));
  EXPECT_TRUE(to.ReadAll() == bytes.substr(1));
  store.Settle();
  EXPECT_TRUE(to.ReadAll() == bytes.substr(1));
}

TEST(RangeTest, SeekAtOrBeyondTheEndIsEnxio) {
  TestStore store;
  Handle file = store.CreateFile("file");
  for (const int whence : {SEEK_DATA, SEEK_HOLE}) {
    EXPECT_EQ(CodeOf(store.fs().Seek(file.file(), 0, whence)), ENXIO);
  }
  file.Write(0, "data");
  for (const int whence : {SEEK_DATA, SEEK_HOLE}) {
    EXPECT_EQ(CodeOf(store.fs().Seek(file.file(), 4, whence)), ENXIO);
  }
  const auto end = store.fs().Seek(file.file(), 0, SEEK_HOLE);
  ASSERT_TRUE(IsOk(end));
  EXPECT_EQ(*end, 4u) << "the end of a file is a hole";
}

TEST(RangeTest, AllocateModesThatDoNotExistAreRefused) {
  TestStore store;
  Handle file = store.CreateFile("file");
  file.Write(0, "data");
  for (const int mode : {FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_PUNCH_HOLE}) {
    EXPECT_EQ(CodeOf(store.fs().Allocate(file.file(), mode, 0, 4096)), EOPNOTSUPP) << mode;
  }
  EXPECT_EQ(file.ReadAll(), "data");
}

TEST(RangeTest, OnlyRegularFilesHaveContent) {
  TestStore store;
  FileSystem& fs = store.fs();
  EXPECT_EQ(CodeOf(fs.Open(kRootIno, O_RDONLY)), EISDIR);
  const auto link = fs.Create(kRootIno, "link", S_IFLNK | 0777, 0, "target", Caller{});
  ASSERT_TRUE(IsOk(link));
  EXPECT_EQ(CodeOf(fs.Open(link->ino, O_RDONLY)), ELOOP);
  const auto fifo = fs.Create(kRootIno, "fifo", S_IFIFO | 0644, 0, "", Caller{});
  ASSERT_TRUE(IsOk(fifo));
  EXPECT_EQ(CodeOf(fs.Open(fifo->ino, O_RDONLY)), ENXIO);
  EXPECT_EQ(CodeOf(fs.Open(Ino{1} << 40, O_RDONLY)), ESTALE);
  AttributeChange size;
  size.size = 1;
  EXPECT_EQ(CodeOf(fs.SetAttributes(kRootIno, size, Caller{}, nullptr)), EISDIR);
  EXPECT_EQ(CodeOf(fs.SetAttributes(fifo->ino, size, Caller{}, nullptr)), EINVAL);
  fs.Forget(link->ino, 1);
  fs.Forget(fifo->ino, 1);
}

TEST(RangeTest, EmptyWriteChangesNothing) {
  TestStore store;
  Handle file = store.CreateFile("file");
  file.Write(100, "");
  EXPECT_EQ(file.Size(), 0u);
}

TEST(RangeTest, TwoHandlesSeeOneContent) {
  TestStore store;
  Handle one = store.CreateFile("file"), other = store.OpenFile("file");
  one.Write(0, "from one");
  EXPECT_EQ(other.ReadAll(), "from one");
  other.Truncate(4);
  EXPECT_EQ(one.ReadAll(), "from");
}

TEST(RangeTest, StoreThatIsOpenCannotBeCheckedOrOpenedAgain) {
  TestStore store;
  EXPECT_EQ(CodeOf(FileSystem::Open(store.directory(), {})), EBUSY);
  EXPECT_EQ(
      CodeOf(FileSystem::Check(
          store.directory(), [](const std::string&) {}, [](const ChunkStore::CheckProgress&) {})),
      EBUSY);
}

}  // namespace
}  // namespace dedupfs
