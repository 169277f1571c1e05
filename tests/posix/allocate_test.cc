// Sizes, holes and limits of files: truncate, fallocate, SEEK_HOLE, EFBIG, RLIMIT_FSIZE.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

constexpr off_t kBlock = 4096;
constexpr off_t kKiB = 1024;
constexpr off_t kTiB = off_t{1} << 40;

class AllocateTest : public PosixTest {
 protected:
  int Create(std::string_view name, std::string_view content = "") {
    MakeFile(name, content);
    const int fd = ::open(At(name).c_str(), O_RDWR | O_CLOEXEC);
    EXPECT_GE(fd, 0);
    return fd;
  }
  void Write(int fd, off_t offset, size_t size, char c = 'x') {
    EXPECT_EQ(::pwrite(fd, std::string(size, c).data(), size, offset), static_cast<ssize_t>(size));
  }
  off_t SizeOf(int fd) {
    struct stat status = {};
    EXPECT_EQ(Error(::fstat(fd, &status)), 0);
    return status.st_size;
  }
};
POSIX_RULES(allocate, AllocateTest);

TEST_P(AllocateTest, TruncateCutsAndGrowsWithZeros) {
  const int fd = Create("file", "abcdefgh");
  ASSERT_EQ(Error(::ftruncate(fd, 3)), 0);
  ASSERT_EQ(Error(::ftruncate(fd, 6)), 0);
  EXPECT_EQ(Content("file"), std::string("abc\0\0\0", 6));
  EXPECT_EQ(Error(::ftruncate(fd, -1)), EINVAL);
  EXPECT_EQ(Error(::truncate(directory().c_str(), 0)), EISDIR);
  EXPECT_EQ(Error(::truncate(At("absent").c_str(), 0)), ENOENT);
  ::close(fd);
}

TEST_P(AllocateTest, WriteBehindTheEndLeavesAHoleOfZeros) {
  const int fd = Create("file", "ab");
  Write(fd, 100'000, 2, 'c');
  EXPECT_TRUE(Content("file") == "ab" + std::string(99'998, '\0') + "cc");
  ::close(fd);
}

TEST_P(AllocateTest, AllocatedSpaceReadsAsZerosAndGrowsTheFile) {
  const int fd = Create("file", "abc");
  ASSERT_EQ(Error(::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20)), 0);
  EXPECT_EQ(SizeOf(fd), 3);
  ASSERT_EQ(Error(::fallocate(fd, 0, 0, 10'000)), 0);
  EXPECT_TRUE(Content("file") == "abc" + std::string(9'997, '\0'));
  ASSERT_EQ(Error(::fallocate(fd, 0, 0, 5)), 0);  // never cuts
  EXPECT_EQ(SizeOf(fd), 10'000);
  ASSERT_EQ(Error(::posix_fallocate(fd, 0, 20'000)), 0);
  EXPECT_EQ(SizeOf(fd), 20'000);
  ::close(fd);
}

TEST_P(AllocateTest, PunchedRangesAreZerosAndTheSizeStays) {
  std::string expected(20'000, 'x');
  const int fd = Create("file", expected);
  const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  ASSERT_EQ(Error(::fallocate(fd, punch, 5, 10'000)), 0);
  expected.replace(5, 10'000, 10'000, '\0');
  EXPECT_TRUE(Content("file") == expected);
  ASSERT_EQ(Error(::fallocate(fd, punch, 19'000, 5'000)), 0);
  expected.replace(19'000, 1'000, 1'000, '\0');
  EXPECT_TRUE(Content("file") == expected);
  EXPECT_EQ(Error(::fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10)), EOPNOTSUPP);
  ::close(fd);
}

TEST_P(AllocateTest, ZeroedRangesMayGrowTheFile) {
  const int fd = Create("file", std::string(10'000, 'x'));
  ASSERT_EQ(Error(::fallocate(fd, FALLOC_FL_ZERO_RANGE, 9'000, 6'000)), 0);
  EXPECT_TRUE(Content("file") == std::string(9'000, 'x') + std::string(6'000, '\0'));
  ASSERT_EQ(Error(::fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 14'000, 6'000)), 0);
  EXPECT_EQ(SizeOf(fd), 15'000);
  ::close(fd);
}

// The kernel does not hand these to a FUSE server.
TEST_P(AllocateTest, CollapseAndInsertMoveWhatFollowsOrAreRefused) {
  const std::string content = std::string(kBlock, 'a') + std::string(kBlock, 'b') + "c";
  const int fd = Create("file", content);
  const int refused = IsDedupfs() ? EOPNOTSUPP : 0;
  EXPECT_EQ(Error(::fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, kBlock)), refused);
  EXPECT_EQ(Error(::fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, kBlock)), refused);
  EXPECT_TRUE(Content("file") ==
              (IsDedupfs() ? content : std::string(kBlock, '\0') + content.substr(kBlock)));
  ::close(fd);
}

TEST_P(AllocateTest, RangesThatMakeNoSenseAreRefused) {
  const int fd = Create("file");
  EXPECT_EQ(Error(::fallocate(fd, 0, 0, 0)), EINVAL);
  EXPECT_EQ(Error(::fallocate(fd, 0, -1, 10)), EINVAL);
  EXPECT_EQ(Error(::fallocate(fd, 0, 0, -10)), EINVAL);
  EXPECT_EQ(Error(::fallocate(fd, 1 << 20, 0, 10)), EOPNOTSUPP);
  ::close(fd);
  const int reader = ::open(directory().c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(Error(::fallocate(reader, 0, 0, 10)), EBADF);
  ::close(reader);
}

TEST_P(AllocateTest, SeekFindsHolesAndDataExactly) {
  const int fd = Create("file");
  ASSERT_EQ(Error(::ftruncate(fd, 100 * kKiB)), 0);
  Write(fd, 16 * kKiB, kBlock);
  Write(fd, 64 * kKiB, 2 * kBlock);
  const auto seek = [&](off_t from, int whence) { return ::lseek(fd, from, whence); };
  EXPECT_EQ(seek(0, SEEK_HOLE), 0);
  EXPECT_EQ(seek(0, SEEK_DATA), 16 * kKiB);
  EXPECT_EQ(seek(17 * kKiB, SEEK_DATA), 17 * kKiB);
  EXPECT_EQ(seek(16 * kKiB, SEEK_HOLE), 20 * kKiB);
  EXPECT_EQ(seek(20 * kKiB, SEEK_DATA), 64 * kKiB);
  EXPECT_EQ(seek(64 * kKiB, SEEK_HOLE), 72 * kKiB);
  EXPECT_EQ(Error(seek(72 * kKiB, SEEK_DATA)), ENXIO);
  EXPECT_EQ(Error(seek(100 * kKiB, SEEK_HOLE)), ENXIO);
  EXPECT_EQ(Error(seek(100 * kKiB, SEEK_DATA)), ENXIO);
  EXPECT_EQ(Error(seek(-1, SEEK_DATA)), ENXIO);
  ASSERT_EQ(Error(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 64 * kKiB, kBlock)),
            0);
  EXPECT_EQ(seek(20 * kKiB, SEEK_DATA), 68 * kKiB);
  ::close(fd);
}

TEST_P(AllocateTest, FullFileHasOneHoleAtItsEnd) {
  const int fd = Create("file", std::string(10'000, 'x'));
  EXPECT_EQ(::lseek(fd, 0, SEEK_DATA), 0);
  EXPECT_EQ(::lseek(fd, 5'000, SEEK_HOLE), 10'000);
  ::close(fd);
}

TEST_P(AllocateTest, HolesTakeNoBlocks) {
  const int fd = Create("file");
  ASSERT_EQ(Error(::ftruncate(fd, 1 << 30)), 0);
  Write(fd, 512 << 20, kBlock);
  ASSERT_EQ(Error(::fsync(fd)), 0);
  EXPECT_LE(Stat("file").st_blocks, 64);
  EXPECT_GT(Stat("file").st_blocks, 0);
  ::close(fd);
}

// An archiver takes a file without blocks for one hole.
TEST_P(AllocateTest, ContentHasBlocksBeforeItIsWrittenBack) {
  const int fd = Create("new", "x");
  EXPECT_GT(Stat("new").st_blocks, 0);
  ::close(fd);
  EXPECT_GT(Stat("new").st_blocks, 0);
  MakeFile("empty", "");
  EXPECT_EQ(Stat("empty").st_blocks, 0);
  const int again = ::open(At("empty").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  ASSERT_EQ(::write(again, "x", 1), 1);
  EXPECT_GT(Stat("empty").st_blocks, 0);
  ::close(again);
  const int held = ::open(At("held").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  Write(held, 0, 8 << 20);
  EXPECT_GT(Stat("held").st_blocks, 0);
  ASSERT_EQ(Error(::fsync(held)), 0);
  EXPECT_GE(Stat("held").st_blocks, (4 << 20) / 512);  // at most a doubling is not told
  ::close(held);
  EXPECT_EQ(Stat("held").st_blocks, (8 << 20) / 512);
}

// ext4 with blocks of 4 KiB ends one block below 16 TiB.
TEST_P(AllocateTest, FilesReachSixteenTebibytes) {
  const off_t limit = 16 * kTiB - (IsDedupfs() ? 0 : kBlock);
  const int fd = Create("file");
  ASSERT_EQ(Error(::ftruncate(fd, limit)), 0);
  Write(fd, limit - 10, 10, 'e');
  ASSERT_EQ(Error(::fsync(fd)), 0);
  std::string end(10, '\0');
  EXPECT_EQ(::pread(fd, end.data(), end.size(), limit - 10), 10);
  EXPECT_EQ(end, std::string(10, 'e'));
  EXPECT_EQ(SizeOf(fd), limit);
  ::close(fd);
}

TEST_P(AllocateTest, BeyondTheLimitIsTooBig) {
  const off_t limit = 16 * kTiB - (IsDedupfs() ? 0 : kBlock);
  const int fd = Create("file");
  EXPECT_EQ(Error(::ftruncate(fd, limit + 1)), EFBIG);
  EXPECT_EQ(Error(::truncate(At("file").c_str(), limit + kTiB)), EFBIG);
  EXPECT_EQ(Error(::fallocate(fd, 0, limit, kBlock)), EFBIG);
  EXPECT_EQ(SizeOf(fd), 0);
  ::close(fd);
}

// FUSE cannot tell the kernel a limit, so what is cached is refused only when it is written back.
TEST_P(AllocateTest, WriteBeyondTheLimitIsToldByFsyncAtTheLatest) {
  const off_t limit = 16 * kTiB - (IsDedupfs() ? 0 : kBlock);
  const int fd = Create("file", "content");
  const int wrote = Error(::pwrite(fd, "x", 1, limit));
  EXPECT_EQ(wrote == 0 && IsDedupfs() ? Error(::fsync(fd)) : wrote, EFBIG);
  ::close(fd);
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Content("file"), "content");
}

TEST_P(AllocateTest, SizeLimitOfTheProcessHolds) {
  const int wrong = InChildProcess([&] {
    const rlimit limit = {.rlim_cur = 10'000, .rlim_max = 10'000};
    if (::signal(SIGXFSZ, SIG_IGN) == SIG_ERR || ::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 1;
    const int fd = ::open(At("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    const std::string bytes(6'000, 'x');
    if (::write(fd, bytes.data(), bytes.size()) != 6'000) return 2;
    if (::write(fd, bytes.data(), bytes.size()) != 4'000) return 3;  // as much as goes
    if (Error(::write(fd, "x", 1)) != EFBIG) return 4;
    if (Error(::ftruncate(fd, 10'001)) != EFBIG) return 5;
    if (Error(::fallocate(fd, 0, 10'000, 1)) != EFBIG) return 6;
    return ::ftruncate(fd, 10'000) == 0 ? 0 : 7;
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Stat("file").st_size, 10'000);
  EXPECT_EQ(SignalOf([&] {
              const rlimit limit = {.rlim_cur = 100, .rlim_max = 100};
              ::signal(SIGXFSZ, SIG_DFL);
              ::setrlimit(RLIMIT_FSIZE, &limit);
              return static_cast<int>(::truncate(At("file").c_str(), 20'000));
            }),
            SIGXFSZ);
}

}  // namespace
}  // namespace dedupfs
