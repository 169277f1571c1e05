// flock and fcntl locks between processes: the kernel keeps them for us.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

using LockTest = MountTest;

TEST_F(LockTest, FlockExcludesAnotherProcess) {
  WriteFile(At("file"), "x");
  Fd file(At("file"), O_RDWR);
  ASSERT_EQ(::flock(file.get(), LOCK_EX), 0);
  const auto other = [&] {
    return InChild(0, 0, [&] {
      Fd again(At("file"), O_RDWR);
      return ::flock(again.get(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    });
  };
  EXPECT_EQ(other(), EWOULDBLOCK);
  ASSERT_EQ(::flock(file.get(), LOCK_UN), 0);
  EXPECT_EQ(other(), 0);
}

int LockRange(int fd, off_t start, off_t length) {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return ::fcntl(fd, F_SETLK, &lock) == 0 ? 0 : errno;
}

TEST_F(LockTest, RecordLocksExcludeOverlapsOnly) {
  WriteFile(At("file"), "0123456789");
  Fd file(At("file"), O_RDWR);
  ASSERT_EQ(LockRange(file.get(), 0, 5), 0);
  const auto other = [&](off_t start) {
    return InChild(0, 0, [&] {
      Fd again(At("file"), O_RDWR);
      return LockRange(again.get(), start, 2);
    });
  };
  EXPECT_EQ(other(4), EAGAIN);
  EXPECT_EQ(other(5), 0);
}

}  // namespace
}  // namespace dedupfs
