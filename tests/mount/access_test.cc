// Times, permissions and statfs.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

using AccessTest = MountTest;

TEST_F(AccessTest, TimesAreKeptToTheNanosecond) {
  WriteFile(At("file"), "x");
  const std::array<timespec, 2> times = {timespec{1'000'000'001, 123'456'789},
                                         timespec{-5, 987'654'321}};
  ASSERT_EQ(::utimensat(AT_FDCWD, At("file").c_str(), times.data(), 0), 0);
  const auto check = [&] {
    const struct stat status = StatOf(At("file"));
    EXPECT_EQ(status.st_atim.tv_sec, 1'000'000'001);
    EXPECT_EQ(status.st_atim.tv_nsec, 123'456'789);
    EXPECT_EQ(status.st_mtim.tv_sec, -5);
    EXPECT_EQ(status.st_mtim.tv_nsec, 987'654'321);
  };
  check();
  Remount();
  check();
}

TEST_F(AccessTest, OmittedTimeStaysAndNowIsNow) {
  WriteFile(At("file"), "x");
  std::array<timespec, 2> times = {timespec{100, 0}, timespec{200, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, At("file").c_str(), times.data(), 0), 0);
  times = {timespec{0, UTIME_OMIT}, timespec{0, UTIME_NOW}};
  ASSERT_EQ(::utimensat(AT_FDCWD, At("file").c_str(), times.data(), 0), 0);
  EXPECT_EQ(StatOf(At("file")).st_atim.tv_sec, 100);
  EXPECT_GT(StatOf(At("file")).st_mtim.tv_sec, 1'000'000'000);
}

TEST_F(AccessTest, WriteMovesTheTimeOfChange) {
  WriteFile(At("file"), "x");
  const std::array<timespec, 2> times = {timespec{100, 0}, timespec{200, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, At("file").c_str(), times.data(), 0), 0);
  Fd file(At("file"), O_WRONLY);
  ASSERT_EQ(::write(file.get(), "y", 1), 1);
  EXPECT_GT(StatOf(At("file")).st_mtim.tv_sec, 1'000'000'000);
}

TEST_F(AccessTest, StatFsTellsTheSpaceBelow) {
  struct statvfs here = {};
  struct statvfs below = {};
  ASSERT_EQ(::statvfs(mountpoint().c_str(), &here), 0);
  ASSERT_EQ(::statvfs(store().c_str(), &below), 0);
  EXPECT_EQ(here.f_namemax, 255U);
  EXPECT_GT(here.f_blocks, 0U);
  EXPECT_LE(here.f_bavail * here.f_frsize, below.f_blocks * below.f_frsize);
}

TEST_F(AccessTest, KernelChecksPermissions) {
  constexpr uid_t kOther = 4242;
  WriteFile(At("file"), "x");
  ASSERT_EQ(::chmod(At("file").c_str(), 0600), 0);
  EXPECT_EQ(InChild(kOther, kOther, [&] { return Fd(At("file"), O_RDONLY).ok() ? 0 : errno; }),
            EACCES);
  EXPECT_EQ(
      InChild(kOther, kOther, [&] { return ::chmod(At("file").c_str(), 0777) == 0 ? 0 : errno; }),
      EPERM);
}

TEST_F(AccessTest, NewFilesBelongToTheirMaker) {
  constexpr uid_t kMaker = 4242;
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0755), 0);
  ASSERT_EQ(::chmod(At("dir").c_str(), 0777), 0);
  EXPECT_EQ(InChild(kMaker, kMaker + 1,
                    [&] { return Fd(At("dir/file"), O_WRONLY | O_CREAT).ok() ? 0 : 1; }),
            0);
  EXPECT_EQ(StatOf(At("dir/file")).st_uid, kMaker);
  EXPECT_EQ(StatOf(At("dir/file")).st_gid, kMaker + 1);
}

TEST_F(AccessTest, SetgidDirectoryGivesItsGroup) {
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0755), 0);
  ASSERT_EQ(::chown(At("dir").c_str(), 0, 777), 0);
  ASSERT_EQ(::chmod(At("dir").c_str(), 02777), 0);
  WriteFile(At("dir/file"), "x");
  EXPECT_EQ(StatOf(At("dir/file")).st_gid, 777U);
}

}  // namespace
}  // namespace dedupfs
