// Times: setting them, who may, their range, and which change moves which.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

bool IsLater(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

class TimeTest : public PosixTest {
 protected:
  int SetTimes(std::string_view name, const timespec& atime, const timespec& mtime) {
    const std::array<timespec, 2> times = {atime, mtime};
    return Error(::utimensat(AT_FDCWD, At(name).c_str(), times.data(), AT_SYMLINK_NOFOLLOW));
  }

  // Which times of `name` move by `change`: "a", "m" and "c" in this order.
  std::string Moved(std::string_view name, const std::function<void()>& change) {
    EXPECT_EQ(SetTimes(name, {2'000'000'000, 7}, {100, 7}), 0);
    const struct stat before = Stat(name);
    // The clock by which times are stamped moves in steps.
    timespec now = {};
    do {
      ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (!IsLater(now, before.st_ctim));
    change();
    return Difference(before, Stat(name));
  }

  static std::string Difference(const struct stat& before, const struct stat& after) {
    const auto differ = [](const timespec& a, const timespec& b) {
      return IsLater(a, b) || IsLater(b, a);
    };
    std::string moved;
    if (differ(after.st_atim, before.st_atim)) moved += "a";
    if (differ(after.st_mtim, before.st_mtim)) moved += "m";
    if (differ(after.st_ctim, before.st_ctim)) moved += "c";
    return moved;
  }

  void Done(int result) { EXPECT_EQ(Error(result), 0); }
};
POSIX_RULES(time, TimeTest);

TEST_P(TimeTest, TimesAreKeptToTheNanosecond) {
  MakeFile("file");
  ASSERT_EQ(SetTimes("file", {1'234'567'890, 123'456'789}, {1'234'567'891, 987'654'321}), 0);
  const struct stat status = Stat("file");
  EXPECT_EQ(status.st_atim.tv_sec, 1'234'567'890);
  EXPECT_EQ(status.st_atim.tv_nsec, 123'456'789);
  EXPECT_EQ(status.st_mtim.tv_sec, 1'234'567'891);
  EXPECT_EQ(status.st_mtim.tv_nsec, 987'654'321);
}

TEST_P(TimeTest, TimesBefore1970AndAfter2038AreKept) {
  MakeFile("file");
  for (const time_t when : {time_t{-1}, time_t{-2'000'000'000}, time_t{INT_MAX} + 1,
                            time_t{4'294'967'296}, time_t{8'000'000'000}}) {
    ASSERT_EQ(SetTimes("file", {when, 1}, {when, 999'999'999}), 0);
    EXPECT_EQ(Stat("file").st_atim.tv_sec, when);
    EXPECT_EQ(Stat("file").st_mtim.tv_sec, when);
    EXPECT_EQ(Stat("file").st_mtim.tv_nsec, 999'999'999);
  }
}

// ext4 keeps 1901 to 2446, DedupFS 1677 to 2262. With the writeback cache the kernel believes its
// own modification time of a regular file until it forgets the inode.
TEST_P(TimeTest, TimesOutOfRangeBecomeTheNearestInIt) {
  constexpr time_t kOut = 99'999'999'999;  // the year 5138; the other way, before the year 0
  std::vector<int> kept;                   // so that the kernel forgets none of them
  for (const std::string name : {"late", "early"}) {
    const time_t when = name == "late" ? kOut : -kOut;
    MakeFile(name + "_file");
    MakeDirectory(name + "_dir");
    for (const std::string kind : {"_file", "_dir"}) {
      ASSERT_EQ(SetTimes(name + kind, {when, 1}, {when, 1}), 0);
      kept.push_back(::open(At(name + kind).c_str(), O_PATH | O_CLOEXEC));
      ASSERT_GE(kept.back(), 0);
    }
  }
  const auto in_range = [](time_t late, time_t early) {
    return late > 8'000'000'000 && late < kOut && early < -2'000'000'000 && early > -kOut;
  };
  const struct stat late = Stat("late_dir");
  const struct stat early = Stat("early_dir");
  EXPECT_PRED2(in_range, late.st_mtim.tv_sec, early.st_mtim.tv_sec);
  EXPECT_PRED2(in_range, late.st_atim.tv_sec, early.st_atim.tv_sec);
  EXPECT_PRED2(in_range, Stat("late_file").st_atim.tv_sec, Stat("early_file").st_atim.tv_sec);
  EXPECT_EQ(Stat("late_file").st_mtim.tv_sec, IsDedupfs() ? kOut : late.st_mtim.tv_sec);
  EXPECT_EQ(Stat("early_file").st_mtim.tv_sec, IsDedupfs() ? -kOut : early.st_mtim.tv_sec);
  for (const int fd : kept) ::close(fd);
  ASSERT_TRUE(tested().Remount(false));
  for (const std::string kind : {"_file", "_dir"}) {
    EXPECT_EQ(Difference(late, Stat("late" + kind)).find_first_of("am"), std::string::npos);
    EXPECT_EQ(Difference(early, Stat("early" + kind)).find_first_of("am"), std::string::npos);
  }
}

TEST_P(TimeTest, OmittedTimesStayAndNowIsNow) {
  MakeFile("file");
  ASSERT_EQ(SetTimes("file", {100, 1}, {200, 2}), 0);
  ASSERT_EQ(SetTimes("file", {0, UTIME_OMIT}, {0, UTIME_NOW}), 0);
  EXPECT_EQ(Stat("file").st_atim.tv_sec, 100);
  EXPECT_GT(Stat("file").st_mtim.tv_sec, 1'000'000'000);
  ASSERT_EQ(SetTimes("file", {0, UTIME_NOW}, {300, 3}), 0);
  EXPECT_GT(Stat("file").st_atim.tv_sec, 1'000'000'000);
  EXPECT_EQ(Stat("file").st_mtim.tv_sec, 300);
  const struct stat before = Stat("file");
  ASSERT_EQ(SetTimes("file", {0, UTIME_OMIT}, {0, UTIME_OMIT}), 0);
  EXPECT_EQ(Difference(before, Stat("file")), "");
}

TEST_P(TimeTest, NanosecondsOutOfRangeAreRefused) {
  MakeFile("file");
  EXPECT_EQ(SetTimes("file", {1, 1'000'000'000}, {1, 0}), EINVAL);
  EXPECT_EQ(SetTimes("file", {1, 0}, {1, -1}), EINVAL);
}

TEST_P(TimeTest, WriterMaySetThemToNowAndOnlyTheOwnerToAnyTime) {
  MakeFile("file", "x", 0664);
  Chown("file", kOwner, kGroup);
  const auto any = [&] { return SetTimes("file", {1, 0}, {2, 0}); };
  const auto now = [&] { return SetTimes("file", {0, UTIME_NOW}, {0, UTIME_NOW}); };
  const auto half = [&] { return SetTimes("file", {0, UTIME_OMIT}, {0, UTIME_NOW}); };
  EXPECT_EQ(As(Owner(), any), 0);
  EXPECT_EQ(As(Member(), any), EPERM);
  EXPECT_EQ(As(Member(), now), 0);
  EXPECT_EQ(As(Member(), half), EPERM);
  EXPECT_EQ(As(Stranger(), now), EACCES);
  EXPECT_EQ(As(Stranger(), any), EPERM);
  Chmod("file", 0);
  EXPECT_EQ(As(Owner(), now), 0);
}

TEST_P(TimeTest, SymlinkHasTimesOfItsOwn) {
  MakeFile("file");
  ASSERT_EQ(Error(::symlink("file", At("link").c_str())), 0);
  ASSERT_EQ(SetTimes("link", {111, 5}, {222, 6}), 0);
  EXPECT_EQ(Stat("link").st_mtim.tv_sec, 222);
  EXPECT_GT(Stat("file").st_mtim.tv_sec, 1'000'000'000);
}

TEST_P(TimeTest, ChangesOfContentMoveItsTimes) {
  MakeFile("file", std::string(10'000, 'x'));
  const std::string path = At("file");
  EXPECT_EQ(Moved("file", [&] { Done(::truncate(path.c_str(), 5)); }), "mc");
  // Of the same size: the kernel keeps the times of a FUSE file with a writeback cache, and leaves
  // them.
  EXPECT_EQ(Moved("file", [&] { Done(::truncate(path.c_str(), 5)); }), IsDedupfs() ? "" : "mc");
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(Moved("file", [&] { EXPECT_EQ(::pwrite(fd, "y", 1, 2), 1); }), "mc");
  EXPECT_EQ(Moved("file", [&] { EXPECT_EQ(::pwrite(fd, "y", 0, 2), 0); }), "");
  EXPECT_EQ(Moved("file", [&] { Done(::ftruncate(fd, 100)); }), "mc");
  EXPECT_EQ(Moved("file", [&] { Done(::fallocate(fd, 0, 0, 200)); }), "mc");
  EXPECT_EQ(
      Moved("file",
            [&] { Done(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 50)); }),
      "mc");
  ::close(fd);
  EXPECT_EQ(Moved("file", [&] { ::close(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)); }),
            "mc");
  // Of an empty file, too.
  EXPECT_EQ(Moved("file", [&] { ::close(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)); }),
            "mc");
}

TEST_P(TimeTest, SetTimesHoldAgainstWritesThatWereBefore) {
  const int fd = ::open(At("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(::write(fd, "late", 4), 4);
  ASSERT_EQ(SetTimes("file", {100, 1}, {200, 2}), 0);
  EXPECT_EQ(Error(::fsync(fd)), 0);
  EXPECT_EQ(Error(::close(fd)), 0);
  EXPECT_EQ(Stat("file").st_mtim.tv_sec, 200);
  EXPECT_EQ(Stat("file").st_mtim.tv_nsec, 2);
}

TEST_P(TimeTest, ChangesOfAttributesMoveTheChangeTimeAlone) {
  MakeFile("file");
  const std::string path = At("file");
  EXPECT_EQ(Moved("file", [&] { Chmod("file", 0600); }), "c");
  EXPECT_EQ(Moved("file", [&] { Chown("file", kOwner, kGroup); }), "c");
  EXPECT_EQ(Moved("file", [&] { Done(::setxattr(path.c_str(), "user.a", "v", 1, 0)); }), "c");
  EXPECT_EQ(Moved("file", [&] { Done(::removexattr(path.c_str(), "user.a")); }), "c");
  EXPECT_EQ(Moved("file", [&] { Done(::link(path.c_str(), At("link").c_str())); }), "c");
  EXPECT_EQ(Moved("file", [&] { Done(::unlink(At("link").c_str())); }), "c");
  EXPECT_EQ(Moved("file",
                  [&] {
                    Done(::rename(path.c_str(), At("new").c_str()));
                    Done(::rename(At("new").c_str(), path.c_str()));
                  }),
            "c");
}

// The kernel leaves the access times of FUSE files alone, and the daemon does not hear of what is
// read from the cache.
TEST_P(TimeTest, ReadingMovesTheAccessTimeOrNone) {
  MakeDirectory("dir");
  MakeFile("dir/file");
  ASSERT_EQ(SetTimes("dir/file", {100, 1}, {200, 2}), 0);
  ASSERT_EQ(SetTimes("dir", {100, 1}, {200, 2}), 0);
  EXPECT_EQ(Content("dir/file"), "x");
  DIR* const directory = ::opendir(At("dir").c_str());
  ASSERT_NE(directory, nullptr);
  while (::readdir(directory) != nullptr) {
  }
  Done(::closedir(directory));
  EXPECT_EQ(Stat("dir/file").st_atim.tv_sec == 100, IsDedupfs());
  EXPECT_EQ(Stat("dir").st_atim.tv_sec == 100, IsDedupfs());
}

TEST_P(TimeTest, NamesMoveTheTimesOfTheirDirectory) {
  MakeDirectory("dir");
  MakeDirectory("other");
  const std::string a = At("dir/a");
  const auto moved = [&](const std::function<int()>& change) {
    return Moved("dir", [&] { Done(change()); });
  };
  EXPECT_EQ(moved([&] { return ::mknod(a.c_str(), S_IFREG | 0644, 0); }), "mc");
  EXPECT_EQ(moved([&] { return ::link(a.c_str(), At("dir/b").c_str()); }), "mc");
  EXPECT_EQ(moved([&] { return ::rename(a.c_str(), At("dir/c").c_str()); }), "mc");
  EXPECT_EQ(moved([&] { return ::rename(At("dir/c").c_str(), At("other/c").c_str()); }), "mc");
  EXPECT_EQ(moved([&] { return ::rename(At("other/c").c_str(), At("dir/c").c_str()); }), "mc");
  EXPECT_EQ(moved([&] { return ::unlink(At("dir/c").c_str()); }), "mc");
  EXPECT_EQ(moved([&] { return ::mkdir(a.c_str(), 0755); }), "mc");
  EXPECT_EQ(moved([&] { return ::rmdir(a.c_str()); }), "mc");
  EXPECT_EQ(moved([&] { return ::symlink("x", a.c_str()); }), "mc");
  EXPECT_EQ(moved([&] { return ::chmod(At("dir/b").c_str(), 0600); }), "");
  EXPECT_EQ(moved([&] { return ::truncate(At("dir/b").c_str(), 10); }), "");
}

TEST_P(TimeTest, FailedChangesMoveNothing) {
  MakeDirectory("dir");
  MakeFile("dir/file");
  EXPECT_EQ(Moved("dir", [&] { EXPECT_EQ(Error(::mkdir(At("dir/file").c_str(), 0755)), EEXIST); }),
            "");
  EXPECT_EQ(Moved("dir", [&] { EXPECT_EQ(Rmdir("dir"), ENOTEMPTY); }), "");
  EXPECT_EQ(Moved("dir/file", [&] { EXPECT_EQ(Rmdir("dir/file"), ENOTDIR); }), "");
}

TEST_P(TimeTest, FileIsBornWithItsDirectorysNewTimes) {
  MakeDirectory("dir");
  MakeFile("dir/file");
  EXPECT_FALSE(IsLater(Stat("dir").st_mtim, Stat("dir/file").st_mtim));
  EXPECT_FALSE(IsLater(Stat("dir/file").st_mtim, Stat("dir/file").st_ctim));
}

// libfuse 3.14 has no STATX request.
TEST_P(TimeTest, BirthTimeStaysWhateverChangesOrIsNotTold) {
  MakeFile("file");
  struct statx before = {};
  struct statx after = {};
  Done(::statx(AT_FDCWD, At("file").c_str(), 0, STATX_BTIME, &before));
  ASSERT_EQ((before.stx_mask & STATX_BTIME) == 0, IsDedupfs());
  EXPECT_EQ(SetTimes("file", {1, 1}, {1, 1}), 0);
  Done(::statx(AT_FDCWD, At("file").c_str(), 0, STATX_BTIME, &after));
  EXPECT_EQ(before.stx_btime.tv_sec, after.stx_btime.tv_sec);
  EXPECT_EQ(before.stx_btime.tv_nsec, after.stx_btime.tv_nsec);
}

}  // namespace
}  // namespace dedupfs
