#include "tools/dedupfs/store_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

int OpenLock(const TempDir& store) {
  return ::open((store.path() + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

TEST(StoreLockTest, AFreeLockIsFreeAtOnce) {
  const TempDir store;
  ::close(OpenLock(store));
  EXPECT_TRUE(WaitForStoreLock(store.path(), 1));
  // And is left free.
  const int fd = OpenLock(store);
  EXPECT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  ::close(fd);
}

TEST(StoreLockTest, AHeldLockTimesOut) {
  const TempDir store;
  const int fd = OpenLock(store);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  const auto waited = WaitForStoreLock(store.path(), 1);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, ETIMEDOUT);
  ::close(fd);
}

TEST(StoreLockTest, ReturnsWhenTheHolderEnds) {
  const TempDir store;
  std::array<int, 2> locked{}, release{};
  ASSERT_EQ(::pipe(locked.data()), 0);
  ASSERT_EQ(::pipe(release.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(release[1]);
    const int fd = OpenLock(store);
    char byte = ::flock(fd, LOCK_EX) == 0 ? 'y' : 'n';
    if (::write(locked[1], &byte, 1) != 1) ::_exit(1);
    ::_exit(::read(release[0], &byte, 1) == 0 ? 0 : 1);  // until the parent closes its end
  }
  char byte = 'n';
  ASSERT_EQ(::read(locked[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  ::close(release[1]);
  EXPECT_TRUE(WaitForStoreLock(store.path(), 60));
  int wait_status = 0;
  EXPECT_EQ(::waitpid(child, &wait_status, 0), child);
  EXPECT_EQ(wait_status, 0);
  for (const int fd : {locked[0], locked[1], release[0]}) ::close(fd);
}

TEST(StoreLockTest, AStoreWithoutALockFileIsNamed) {
  const TempDir store;
  const auto waited = WaitForStoreLock(store.path(), 1);
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().code, ENOENT);
}

}  // namespace
}  // namespace dedupfs
