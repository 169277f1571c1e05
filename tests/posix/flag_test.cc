// The flags of chattr(1): immutable and append-only.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class FlagTest : public PosixTest {
 protected:
  // Flagged files could not be removed with the test's directory.
  void TearDown() override {
    for (const char* const name : {"file", "dir", "dir/file"}) Change(name, 0, kBoth);
    PosixTest::TearDown();
  }

  static constexpr int kBoth = FS_IMMUTABLE_FL | FS_APPEND_FL;
  int Flags(std::string_view name) {
    int flags = 0;
    const int fd = ::open(At(name).c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(Error(::ioctl(fd, FS_IOC_GETFLAGS, &flags)), 0);
    ::close(fd);
    return flags & kBoth;
  }
  int Change(std::string_view name, int add, int remove) {
    const int fd = ::open(At(name).c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    int flags = 0;
    int result = Error(::ioctl(fd, FS_IOC_GETFLAGS, &flags));
    flags = (flags | add) & ~remove;
    if (result == 0) result = Error(::ioctl(fd, FS_IOC_SETFLAGS, &flags));
    ::close(fd);
    return result;
  }
  int Open(std::string_view name, int flags) {
    const int fd = ::open(At(name).c_str(), flags | O_CLOEXEC, 0644);
    return fd < 0 ? errno : Error(::close(fd));
  }
};
POSIX_RULES(flag, FlagTest);

TEST_P(FlagTest, FlagsAreKeptAndToldAlsoAfterARemount) {
  MakeFile("file");
  MakeDirectory("dir");
  EXPECT_EQ(Flags("file"), 0);
  ASSERT_EQ(Change("file", FS_IMMUTABLE_FL, 0), 0);
  ASSERT_EQ(Change("dir", FS_APPEND_FL, 0), 0);
  EXPECT_EQ(Flags("file"), FS_IMMUTABLE_FL);
  EXPECT_EQ(Flags("dir"), FS_APPEND_FL);
  EXPECT_EQ(::listxattr(At("file").c_str(), nullptr, 0), 0);
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Flags("file"), FS_IMMUTABLE_FL);
  EXPECT_EQ(Open("file", O_WRONLY), EPERM);
  ASSERT_EQ(Change("file", 0, FS_IMMUTABLE_FL), 0);
  EXPECT_EQ(Flags("file"), 0);
  EXPECT_EQ(Open("file", O_WRONLY), 0);
}

TEST_P(FlagTest, OnlyRootSetsAndClearsThem) {
  MakeFile("file", "x", 0666);
  Chown("file", kOwner, kGroup);
  EXPECT_EQ(As(Owner(), [&] { return Change("file", FS_IMMUTABLE_FL, 0); }), EPERM);
  ASSERT_EQ(Change("file", FS_IMMUTABLE_FL, 0), 0);
  EXPECT_EQ(As(Owner(), [&] { return Change("file", 0, FS_IMMUTABLE_FL); }), EPERM);
  EXPECT_EQ(As(Stranger(), [&] { return Flags("file"); }), FS_IMMUTABLE_FL);
}

TEST_P(FlagTest, CapabilityAndNotRootChangesThem) {
  const auto keep_only = [](uint32_t capabilities) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct data[2] = {{capabilities, capabilities, 0}, {}};
    return Error(::syscall(SYS_capset, &header, data));
  };
  MakeFile("file", "x", 0666);
  Chown("file", kOwner, kGroup);
  EXPECT_EQ(InChildProcess([&] {
              if (::prctl(PR_SET_KEEPCAPS, 1) != 0) return 255;
              if (::setresuid(kOwner, kOwner, kOwner) != 0) return 255;
              if (keep_only(1U << CAP_LINUX_IMMUTABLE) != 0) return 255;
              return Change("file", FS_APPEND_FL, 0);
            }),
            0);
  EXPECT_EQ(InChildProcess([&] {
              if (keep_only(1U << CAP_FOWNER) != 0) return 255;
              return Change("file", 0, FS_APPEND_FL);
            }),
            EPERM);
  EXPECT_EQ(Flags("file"), FS_APPEND_FL);
}

TEST_P(FlagTest, ImmutableFileChangesInNoWay) {
  MakeFile("file", "content");
  MakeFile("other");
  ASSERT_EQ(Error(::setxattr(At("file").c_str(), "user.a", "v", 1, 0)), 0);
  ASSERT_EQ(Change("file", FS_IMMUTABLE_FL, 0), 0);
  const std::string path = At("file");
  const timespec times[2] = {{1, 0}, {2, 0}};
  EXPECT_EQ(Open("file", O_RDONLY), 0);
  EXPECT_EQ(Open("file", O_WRONLY), EPERM);
  EXPECT_EQ(Open("file", O_RDWR | O_APPEND), EPERM);
  EXPECT_EQ(Open("file", O_RDONLY | O_TRUNC), EPERM);
  EXPECT_EQ(Error(::truncate(path.c_str(), 0)), EPERM);
  EXPECT_EQ(Error(::chmod(path.c_str(), 0600)), EPERM);
  EXPECT_EQ(Error(::chown(path.c_str(), 1, 1)), EPERM);
  EXPECT_EQ(Error(::utimensat(AT_FDCWD, path.c_str(), times, 0)), EPERM);
  EXPECT_EQ(Error(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0)), EPERM);
  EXPECT_EQ(Error(::setxattr(path.c_str(), "user.b", "v", 1, 0)), EPERM);
  EXPECT_EQ(Error(::removexattr(path.c_str(), "user.a")), EPERM);
  EXPECT_EQ(Error(::unlink(path.c_str())), EPERM);
  EXPECT_EQ(Error(::link(path.c_str(), At("link").c_str())), EPERM);
  EXPECT_EQ(Rename("file", "new"), EPERM);
  EXPECT_EQ(Rename("other", "file"), EPERM);
  EXPECT_EQ(Rename("other", "file", RENAME_EXCHANGE), EPERM);
  EXPECT_EQ(Content("file"), "content");
  EXPECT_EQ(Mode("file"), 0644U);
}

TEST_P(FlagTest, ImmutableDirectoryKeepsItsNames) {
  MakeDirectory("dir");
  MakeFile("dir/file");
  MakeFile("other");
  ASSERT_EQ(Change("dir", FS_IMMUTABLE_FL, 0), 0);
  EXPECT_EQ(Open("dir/new", O_WRONLY | O_CREAT), EPERM);
  EXPECT_EQ(Error(::mkdir(At("dir/new").c_str(), 0755)), EPERM);
  EXPECT_EQ(Error(::symlink("x", At("dir/new").c_str())), EPERM);
  EXPECT_EQ(Unlink("dir/file"), EPERM);
  EXPECT_EQ(Link("other", "dir/new"), EPERM);
  EXPECT_EQ(Rename("dir/file", "new"), EPERM);
  EXPECT_EQ(Rename("other", "dir/new"), EPERM);
  EXPECT_EQ(Rename("dir", "moved"), EPERM);
  EXPECT_EQ(Error(::chmod(At("dir").c_str(), 0700)), EPERM);
  EXPECT_EQ(Open("dir/file", O_RDWR), 0);  // what is in it may change
}

TEST_P(FlagTest, AppendOnlyFileGrowsAtItsEndAlone) {
  MakeFile("file", "12345");
  ASSERT_EQ(Change("file", FS_APPEND_FL, 0), 0);
  const std::string path = At("file");
  const timespec times[2] = {{1, 0}, {2, 0}};
  EXPECT_EQ(Open("file", O_WRONLY), EPERM);
  EXPECT_EQ(Open("file", O_WRONLY | O_APPEND | O_TRUNC), EPERM);
  EXPECT_EQ(Error(::truncate(path.c_str(), 10)), EPERM);
  EXPECT_EQ(Error(::unlink(path.c_str())), EPERM);
  EXPECT_EQ(Rename("file", "new"), EPERM);
  EXPECT_EQ(Error(::link(path.c_str(), At("link").c_str())), EPERM);
  EXPECT_EQ(Error(::chmod(path.c_str(), 0600)), EPERM);
  EXPECT_EQ(Error(::utimensat(AT_FDCWD, path.c_str(), times, 0)), EPERM);
  EXPECT_EQ(Error(::utimensat(AT_FDCWD, path.c_str(), nullptr, 0)), 0);
  const timespec now_and_old[2] = {{0, UTIME_NOW}, {2, 0}};
  EXPECT_EQ(Error(::utimensat(AT_FDCWD, path.c_str(), now_and_old, 0)), EPERM);
  const int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(::write(fd, "6", 1), 1);
  EXPECT_EQ(Error(::ftruncate(fd, 1)), EPERM);
  EXPECT_EQ(Error(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 3)), EPERM);
  EXPECT_EQ(Error(::fsync(fd)), 0);
  EXPECT_EQ(Error(::close(fd)), 0);
  EXPECT_EQ(Content("file"), "123456");
}

// Whoever may append can open the file for reading and writing, and ask for more with the handle.
TEST_P(FlagTest, HandleOfAnAppendOnlyFileOverwritesNothing) {
  MakeFile("file", "12345", 0666);
  MakeFile("other", "abc");
  ASSERT_EQ(Change("file", FS_APPEND_FL, 0), 0);
  EXPECT_EQ(As(Stranger(),
               [&] {
                 const int fd = ::open(At("file").c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
                 const int cleared = Error(::fcntl(fd, F_SETFL, 0));
                 if (cleared != (IsDedupfs() ? 0 : EPERM)) return 1;
                 // ext4 appends, whatever the offset.
                 if (IsDedupfs() && Error(::pwrite(fd, "X", 1, 0)) != EPERM) return 2;
                 if (IsDedupfs() && Error(::pwrite(fd, "XY", 2, 4)) != EPERM) return 3;
                 if (Error(::fcntl(fd, F_SETFL, O_APPEND)) != 0) return 4;
                 return ::write(fd, "6", 1) == 1 ? 0 : 5;
               }),
            0);
  const int from = ::open(At("other").c_str(), O_RDONLY | O_CLOEXEC);
  const int fd = ::open(At("file").c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  EXPECT_EQ(Error(::copy_file_range(from, nullptr, fd, nullptr, 3, 0)), EBADF);
  if (IsDedupfs()) {
    ASSERT_EQ(Error(::fcntl(fd, F_SETFL, 0)), 0);
    off_t target = 0;
    EXPECT_EQ(Error(::copy_file_range(from, nullptr, fd, &target, 3, 0)), EPERM);
    target = 6;
    EXPECT_EQ(::copy_file_range(from, nullptr, fd, &target, 3, 0), 3);
  } else {
    EXPECT_EQ(::write(fd, "abc", 3), 3);
  }
  EXPECT_EQ(Error(::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 3)), EPERM);
  ::close(from);
  ::close(fd);
  EXPECT_EQ(Content("file"), "123456abc");
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Content("file"), "123456abc");
}

TEST_P(FlagTest, HandleThatAppendsMapsNothingShared) {
  MakeFile("file", "12345");
  ASSERT_EQ(Change("file", FS_APPEND_FL, 0), 0);
  const int fd = ::open(At("file").c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  for (const int protection : {PROT_READ, PROT_READ | PROT_WRITE}) {
    EXPECT_EQ(::mmap(nullptr, 5, protection, MAP_SHARED, fd, 0), MAP_FAILED);
    EXPECT_EQ(errno, IsDedupfs() ? ENODEV : EACCES);
  }
  void* const own = ::mmap(nullptr, 5, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  ASSERT_NE(own, MAP_FAILED);
  *static_cast<char*>(own) = 'X';
  ::munmap(own, 5);
  ::close(fd);
  EXPECT_EQ(Content("file"), "12345");
}

// Of one appender and of several readers: nobody sees an old page or an old size.
TEST_P(FlagTest, WhatIsAppendedIsSeenAtOnce) {
  MakeFile("file", "12345");
  ASSERT_EQ(Change("file", FS_APPEND_FL, 0), 0);
  const int reader = ::open(At("file").c_str(), O_RDONLY | O_CLOEXEC);
  const auto* const page =
      static_cast<const char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, reader, 0));
  ASSERT_NE(page, MAP_FAILED);
  std::string expected = "12345";
  const int fd = ::open(At("file").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  for (int i = 0; i < 50; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    ASSERT_EQ(::write(fd, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    expected += line;
    EXPECT_EQ(Stat("file").st_size, static_cast<off_t>(expected.size()));
    std::string read(expected.size() + 10, 'x');
    read.resize(::pread(reader, read.data(), read.size(), 0));
    ASSERT_EQ(read, expected);
    ASSERT_EQ(std::string(page, expected.size()), expected);
  }
  ::close(fd);
  ::close(reader);
  ::munmap(const_cast<char*>(page), 4096);
  EXPECT_EQ(Content("file"), expected);
}

// A handle from before goes on, and what the kernel has cached for it may be written back by way of
// another handle.
TEST_P(FlagTest, HandleFromBeforeOverwritesBesideAnAppender) {
  MakeFile("file", "12345");
  const int before = ::open(At("file").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::pwrite(before, "AB", 2, 0), 2);
  ASSERT_EQ(Change("file", FS_APPEND_FL, 0), 0);
  const int fd = ::open(At("file").c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  EXPECT_EQ(::write(fd, "6", 1), 1);
  EXPECT_EQ(::pwrite(before, "C", 1, 2), 1);
  EXPECT_EQ(Error(::fsync(before)), 0);
  EXPECT_EQ(::write(fd, "7", 1), 1);
  EXPECT_EQ(Error(::fsync(fd)), 0);
  EXPECT_EQ(Error(::close(before)), 0);
  EXPECT_EQ(Error(::close(fd)), 0);
  EXPECT_EQ(Content("file"), "ABC4567");
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Content("file"), "ABC4567");
}

TEST_P(FlagTest, AppendingMovesTheTimesAsToldNowOrLater) {
  MakeFile("file", "12345");
  const timespec times[2] = {{1, 0}, {2, 0}};
  ASSERT_EQ(Error(::utimensat(AT_FDCWD, At("file").c_str(), times, 0)), 0);
  ASSERT_EQ(Change("file", FS_APPEND_FL, 0), 0);
  const int fd = ::open(At("file").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  EXPECT_EQ(::write(fd, "6", 1), 1);
  EXPECT_EQ(Stat("file").st_mtim.tv_sec == 2, IsDedupfs());
  ::close(fd);
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_NE(Stat("file").st_mtim.tv_sec, 2);
}

TEST_P(FlagTest, AccessTellsOfTheFlagsOrTheOpenDoes) {
  MakeFile("file");
  ASSERT_EQ(Change("file", FS_IMMUTABLE_FL, 0), 0);
  EXPECT_EQ(Error(::access(At("file").c_str(), R_OK)), 0);
  EXPECT_EQ(Error(::access(At("file").c_str(), W_OK)), IsDedupfs() ? 0 : EPERM);
  EXPECT_EQ(Open("file", O_WRONLY), EPERM);
}

TEST_P(FlagTest, HandleFromBeforeIsRefusedOrWhatItWritesIsKept) {
  MakeFile("file", "12345");
  const int before = ::open(At("file").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(Change("file", FS_IMMUTABLE_FL, 0), 0);
  EXPECT_EQ(Error(::pwrite(before, "A", 1, 0)), IsDedupfs() ? 0 : EPERM);
  EXPECT_EQ(Error(::fsync(before)), 0);
  EXPECT_EQ(Error(::close(before)), 0);
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Content("file"), IsDedupfs() ? "A2345" : "12345");
}

TEST_P(FlagTest, ModificationTimeAloneIsRefusedOrTakenForACachedOne) {
  MakeFile("file");
  ASSERT_EQ(Change("file", FS_IMMUTABLE_FL, 0), 0);
  const timespec times[2] = {{0, UTIME_OMIT}, {2, 0}};
  EXPECT_EQ(Error(::utimensat(AT_FDCWD, At("file").c_str(), times, 0)), IsDedupfs() ? 0 : EPERM);
  EXPECT_EQ(Stat("file").st_mtim.tv_sec == 2, IsDedupfs());
}

TEST_P(FlagTest, AppendOnlyDirectoryTakesNamesAndLosesNone) {
  MakeDirectory("dir");
  ASSERT_EQ(Change("dir", FS_APPEND_FL, 0), 0);
  EXPECT_EQ(Open("dir/file", O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(Unlink("dir/file"), EPERM);
  EXPECT_EQ(Rename("dir/file", "dir/new"), EPERM);
  EXPECT_EQ(Rename("dir/file", "out"), EPERM);
  EXPECT_EQ(Rmdir("dir"), EPERM);
}

// Dirty pages and times from before are kept, whatever is set meanwhile.
TEST_P(FlagTest, WhatWasWrittenBeforeIsKept) {
  const int fd = ::open(At("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_EQ(::write(fd, "before", 6), 6);
  ASSERT_EQ(Change("file", FS_IMMUTABLE_FL, 0), 0);
  const struct stat before = Stat("file");
  EXPECT_EQ(Error(::fsync(fd)), 0);
  EXPECT_EQ(Error(::close(fd)), 0);
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Content("file"), "before");
  EXPECT_EQ(Stat("file").st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

}  // namespace
}  // namespace dedupfs
