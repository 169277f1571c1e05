// flock, POSIX and OFD locks: what excludes what, and when they end.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class LockTest : public PosixTest {
 protected:
  int Open() { return ::open(At("file").c_str(), O_RDWR | O_CLOEXEC); }

  static int Posix(int fd, int command, short type, off_t start, off_t length) {
    struct flock lock = {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return Error(::fcntl(fd, command, &lock));
  }

  // What another process gets that asks for the lock.
  int Other(const std::function<int(int)>& lock) {
    return InChildProcess([&] { return lock(Open()); });
  }
  int OtherFlock(int how) {
    return Other([how](int fd) { return Error(::flock(fd, how | LOCK_NB)); });
  }
  int OtherPosix(short type, off_t start, off_t length) {
    return Other([=](int fd) { return Posix(fd, F_SETLK, type, start, length); });
  }

  // A process that holds a lock until it is killed.
  pid_t Holder(const std::function<int(int)>& lock) {
    std::array<int, 2> held = {};
    EXPECT_EQ(::pipe2(held.data(), O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (lock(Open()) != 0 || ::write(held[1], "h", 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    ::close(held[1]);
    char word = 0;
    EXPECT_EQ(::read(held[0], &word, 1), 1);
    ::close(held[0]);
    return child;
  }
  static void Kill(pid_t child) {
    ::kill(child, SIGKILL);
    EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  }
};
POSIX_RULES(lock, LockTest);

TEST_P(LockTest, FlockSharesOrExcludes) {
  MakeFile("file");
  const int fd = Open();
  ASSERT_EQ(Error(::flock(fd, LOCK_SH)), 0);
  EXPECT_EQ(OtherFlock(LOCK_SH), 0);
  EXPECT_EQ(OtherFlock(LOCK_EX), EWOULDBLOCK);
  ASSERT_EQ(Error(::flock(fd, LOCK_EX)), 0);
  EXPECT_EQ(OtherFlock(LOCK_SH), EWOULDBLOCK);
  const int again = Open();
  EXPECT_EQ(Error(::flock(again, LOCK_SH | LOCK_NB)), EWOULDBLOCK);  // belongs to the open file
  ::close(again);
  ::close(fd);
  EXPECT_EQ(OtherFlock(LOCK_EX), 0);
}

TEST_P(LockTest, FlockEndsWithTheLastCopyOfItsHandle) {
  MakeFile("file");
  const int fd = Open();
  const int copy = ::dup(fd);
  ASSERT_EQ(Error(::flock(fd, LOCK_EX)), 0);
  ::close(fd);
  EXPECT_EQ(OtherFlock(LOCK_EX), EWOULDBLOCK);
  ::close(copy);
  EXPECT_EQ(OtherFlock(LOCK_EX), 0);
}

TEST_P(LockTest, RecordLocksExcludeOverlapsOnly) {
  MakeFile("file", "0123456789");
  const int fd = Open();
  ASSERT_EQ(Posix(fd, F_SETLK, F_WRLCK, 2, 3), 0);
  EXPECT_EQ(OtherPosix(F_RDLCK, 4, 1), EAGAIN);
  EXPECT_EQ(OtherPosix(F_RDLCK, 0, 0), EAGAIN);  // to the end of the file, however far
  EXPECT_EQ(OtherPosix(F_WRLCK, 5, 1), 0);
  ASSERT_EQ(Posix(fd, F_SETLK, F_UNLCK, 3, 1), 0);  // splits it
  EXPECT_EQ(OtherPosix(F_WRLCK, 3, 1), 0);
  EXPECT_EQ(OtherPosix(F_WRLCK, 4, 1), EAGAIN);
  ::close(fd);
}

TEST_P(LockTest, HolderOfARecordLockIsTold) {
  MakeFile("file");
  const int fd = Open();
  ASSERT_EQ(Posix(fd, F_SETLK, F_WRLCK, 0, 10), 0);
  const pid_t self = ::getpid();
  EXPECT_EQ(Other([self](int other) {
              struct flock lock = {};
              lock.l_type = F_RDLCK;
              lock.l_len = 5;
              if (::fcntl(other, F_GETLK, &lock) != 0) return 1;
              if (lock.l_type != F_WRLCK || lock.l_len != 10) return 2;
              return lock.l_pid == self ? 0 : 3;
            }),
            0);
  ::close(fd);
}

TEST_P(LockTest, RecordLocksEndWithAnyCloseOfTheFile) {
  MakeFile("file");
  const int fd = Open();
  ASSERT_EQ(Posix(fd, F_SETLK, F_WRLCK, 0, 1), 0);
  ::close(Open());
  EXPECT_EQ(OtherPosix(F_WRLCK, 0, 1), 0);
  ::close(fd);
}

TEST_P(LockTest, OpenFileLocksEndWithTheirOwnHandle) {
  MakeFile("file");
  const int fd = Open();
  const int second = Open();
  ASSERT_EQ(Posix(fd, F_OFD_SETLK, F_WRLCK, 0, 10), 0);
  EXPECT_EQ(Posix(second, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
  ::close(Open());
  EXPECT_EQ(Posix(second, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
  EXPECT_EQ(OtherPosix(F_WRLCK, 0, 1), EAGAIN);
  ::close(fd);
  EXPECT_EQ(Posix(second, F_OFD_SETLK, F_RDLCK, 5, 1), 0);
  ::close(second);
}

TEST_P(LockTest, KilledProcessHoldsNothing) {
  MakeFile("file");
  pid_t holder = Holder([](int fd) { return Error(::flock(fd, LOCK_EX)); });
  EXPECT_EQ(OtherFlock(LOCK_EX), EWOULDBLOCK);
  Kill(holder);
  EXPECT_EQ(OtherFlock(LOCK_EX), 0);
  for (const int command : {F_SETLK, F_OFD_SETLK}) {
    holder = Holder([command](int fd) { return Posix(fd, command, F_WRLCK, 0, 0); });
    EXPECT_EQ(OtherPosix(F_WRLCK, 0, 1), EAGAIN);
    Kill(holder);
    EXPECT_EQ(OtherPosix(F_WRLCK, 0, 1), 0);
  }
}

TEST_P(LockTest, CircleOfWaitersIsRefused) {
  MakeFile("file");
  const int fd = Open();
  ASSERT_EQ(Posix(fd, F_SETLK, F_WRLCK, 0, 1), 0);
  std::array<int, 2> held = {};
  ASSERT_EQ(::pipe2(held.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int other = Open();
    if (Posix(other, F_SETLK, F_WRLCK, 1, 1) != 0 || ::write(held[1], "h", 1) != 1) ::_exit(1);
    const int got = Posix(other, F_SETLKW, F_WRLCK, 0, 1);
    ::_exit(got);
  }
  ::close(held[1]);
  char word = 0;
  EXPECT_EQ(::read(held[0], &word, 1), 1);
  ::close(held[0]);
  // One of the two closes the circle, and is told.
  const int got = Posix(fd, F_SETLKW, F_WRLCK, 1, 1);
  ::close(fd);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(got + WEXITSTATUS(status), EDEADLK);  // the other has got its lock
}

TEST_P(LockTest, WriteLockNeedsAWritableHandle) {
  MakeFile("file");
  const int fd = ::open(At("file").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(Posix(fd, F_SETLK, F_WRLCK, 0, 1), EBADF);
  EXPECT_EQ(Posix(fd, F_SETLK, F_RDLCK, 0, 1), 0);
  EXPECT_EQ(Error(::flock(fd, LOCK_EX)), 0);
  ::close(fd);
}

}  // namespace
}  // namespace dedupfs
