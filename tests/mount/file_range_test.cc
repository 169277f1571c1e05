// Holes, fallocate and copy_file_range, on content that the kernel has not written back yet.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

constexpr off_t kMiB = 1 << 20;

using FileRangeTest = MountTest;

TEST_F(FileRangeTest, SeekFindsDataThatWasJustWritten) {
  Fd file(At("sparse"), O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  WriteAt(file.get(), std::string(4096, 'a'), 0);
  WriteAt(file.get(), std::string(4096, 'b'), 8 * kMiB);
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_DATA), 0);
  EXPECT_EQ(::lseek(file.get(), 0, SEEK_HOLE), 4096);
  EXPECT_EQ(::lseek(file.get(), 4096, SEEK_DATA), 8 * kMiB);
  EXPECT_EQ(::lseek(file.get(), 8 * kMiB, SEEK_HOLE), 8 * kMiB + 4096);
  EXPECT_EQ(::lseek(file.get(), 8 * kMiB + 4096, SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
}

TEST_F(FileRangeTest, SeekThroughAnotherHandleSeesDirtyPages) {
  Fd writer(At("file"), O_WRONLY | O_CREAT);
  ASSERT_EQ(::ftruncate(writer.get(), 4 * kMiB), 0);
  WriteAt(writer.get(), std::string(4096, 'x'), 2 * kMiB);
  Fd reader(At("file"), O_RDONLY);
  EXPECT_EQ(::lseek(reader.get(), 0, SEEK_DATA), 2 * kMiB);
}

TEST_F(FileRangeTest, HolesTakeNoBlocks) {
  Fd file(At("sparse"), O_RDWR | O_CREAT);
  ASSERT_EQ(::ftruncate(file.get(), 64 * kMiB), 0);
  WriteAt(file.get(), std::string(4096, 'a'), 32 * kMiB);
  ASSERT_EQ(::fsync(file.get()), 0);
  struct stat status = {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_size, 64 * kMiB);
  Remount();
  EXPECT_LE(StatOf(At("sparse")).st_blocks, 64 * 1024 / 512);
}

TEST_F(FileRangeTest, AllocateGrowsTheFileUnlessToldNotTo) {
  Fd file(At("file"), O_RDWR | O_CREAT);
  ASSERT_EQ(::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, kMiB), 0);
  EXPECT_EQ(StatOf(At("file")).st_size, 0);
  ASSERT_EQ(::fallocate(file.get(), 0, 0, kMiB), 0);
  EXPECT_EQ(StatOf(At("file")).st_size, kMiB);
  EXPECT_TRUE(ReadAt(file.get(), kMiB, 0) == std::string(kMiB, '\0'));
}

TEST_F(FileRangeTest, PunchedAndZeroedRangesReadAsZeroes) {
  std::string expected = TestBytes(kMiB, 11);
  Fd file(At("file"), O_RDWR | O_CREAT);
  WriteAt(file.get(), expected, 0);
  ASSERT_EQ(::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10'000, 100'000),
            0);
  expected.replace(10'000, 100'000, 100'000, '\0');
  EXPECT_TRUE(ReadAt(file.get(), kMiB, 0) == expected);
  ASSERT_EQ(::fallocate(file.get(), FALLOC_FL_ZERO_RANGE, kMiB - 1'000, 3'000), 0);
  expected.resize(kMiB - 1'000);
  expected.resize(kMiB + 2'000, '\0');
  EXPECT_TRUE(ReadAt(file.get(), 2 * kMiB, 0) == expected);
  Remount();
  EXPECT_TRUE(ReadFile(At("file")) == expected);
}

TEST_F(FileRangeTest, UnknownAllocateModesAreNotSupported) {
  Fd file(At("file"), O_RDWR | O_CREAT);
  WriteAt(file.get(), std::string(3 * 4096, 'a'), 0);
  EXPECT_EQ(::fallocate(file.get(), FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
}

TEST_F(FileRangeTest, CopyOfARangeThatWasJustWrittenIsWhole) {
  const std::string content = TestBytes(4 * kMiB, 12);
  Fd from(At("from"), O_RDWR | O_CREAT);
  WriteAt(from.get(), content, 0);
  Fd to(At("to"), O_RDWR | O_CREAT);
  WriteAt(to.get(), std::string(6 * kMiB, 'z'), 0);
  off_t source = 12'345;
  off_t target = kMiB + 7;
  size_t left = 2 * kMiB;
  while (left > 0) {
    const ssize_t copied = ::copy_file_range(from.get(), &source, to.get(), &target, left, 0);
    ASSERT_GT(copied, 0);
    left -= static_cast<size_t>(copied);
  }
  std::string expected(6 * kMiB, 'z');
  expected.replace(kMiB + 7, 2 * kMiB, content, 12'345, 2 * kMiB);
  EXPECT_TRUE(ReadAt(to.get(), 6 * kMiB, 0) == expected);
  from.Close();
  to.Close();
  Remount();
  EXPECT_TRUE(ReadFile(At("to")) == expected);
  EXPECT_TRUE(ReadFile(At("from")) == content);
}

TEST_F(FileRangeTest, CopyBehindTheEndCopiesNothing) {
  Fd from(At("from"), O_RDWR | O_CREAT);
  WriteAt(from.get(), "short", 0);
  Fd to(At("to"), O_RDWR | O_CREAT);
  off_t source = 5;
  EXPECT_EQ(::copy_file_range(from.get(), &source, to.get(), nullptr, 100, 0), 0);
}

}  // namespace
}  // namespace dedupfs
