// Flags of open(2), and busy programs.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class OpenTest : public PosixTest {
 protected:
  // The descriptor, or the error as a negative number.
  int Open(std::string_view name, int flags, mode_t mode = 0644) {
    const int fd = ::open(At(name).c_str(), flags | O_CLOEXEC, mode);
    return fd < 0 ? -errno : fd;
  }
  int OpenError(std::string_view name, int flags) {
    const int fd = Open(name, flags);
    return fd < 0 ? -fd : Error(::close(fd));
  }
};
POSIX_RULES(open, OpenTest);

TEST_P(OpenTest, ExclusiveCreateTakesOnlyANewName) {
  MakeFile("file", "there");
  ASSERT_EQ(Error(::symlink("file", At("link").c_str())), 0);
  EXPECT_EQ(OpenError("file", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(OpenError("file", O_WRONLY | O_CREAT | O_EXCL | O_TRUNC), EEXIST);
  EXPECT_EQ(OpenError("link", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(Content("file"), "there");
  EXPECT_EQ(OpenError("new", O_WRONLY | O_CREAT | O_EXCL), 0);
}

TEST_P(OpenTest, CreatorWritesThroughAReadOnlyMode) {
  const int fd = Open("file", O_RDWR | O_CREAT, 0);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(::write(fd, "x", 1), 1);
  ::close(fd);
  EXPECT_EQ(As(Stranger(),
               [&] {
                 const int own = Open("own", O_WRONLY | O_CREAT, 0444);
                 if (own < 0 || ::write(own, "x", 1) != 1) return 1;
                 return OpenError("own", O_WRONLY) == EACCES ? 0 : 2;
               }),
            0);
}

TEST_P(OpenTest, TruncateEmptiesAndCreateAloneDoesNot) {
  MakeFile("file", "content");
  EXPECT_EQ(OpenError("file", O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(Content("file"), "content");
  EXPECT_EQ(OpenError("file", O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(Stat("file").st_size, 0);
}

TEST_P(OpenTest, AppendWritesAtTheEndWhereverTheOffsetIs) {
  MakeFile("file", "12345");
  const int fd = Open("file", O_RDWR | O_APPEND);
  const int other = Open("file", O_RDWR);
  ASSERT_EQ(::lseek(fd, 0, SEEK_SET), 0);
  EXPECT_EQ(::write(fd, "6", 1), 1);
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 6);
  EXPECT_EQ(::pwrite(other, "789", 3, 6), 3);
  EXPECT_EQ(::write(fd, "a", 1), 1);
  // Linux appends with pwrite(2), too (its BUGS section says so).
  EXPECT_EQ(::pwrite(fd, "b", 1, 0), 1);
  EXPECT_EQ(Content("file"), "123456789ab");
  EXPECT_EQ(Error(::fcntl(fd, F_SETFL, 0)), 0);
  EXPECT_EQ(::pwrite(fd, "X", 1, 0), 1);
  EXPECT_EQ(Content("file"), "X23456789ab");
  ::close(fd);
  ::close(other);
}

TEST_P(OpenTest, ConcurrentAppendsLoseNothing) {
  constexpr int kWriters = 4;
  constexpr int kLines = 200;
  MakeFile("file", "");
  std::array<pid_t, kWriters> children = {};
  for (pid_t& child : children) {
    child = ::fork();
    if (child != 0) continue;
    const int fd = Open("file", O_WRONLY | O_APPEND);
    for (int i = 0; i < kLines; ++i) {
      if (::write(fd, "0123456789abcde\n", 16) != 16) ::_exit(1);
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  std::string expected;
  for (int i = 0; i < kWriters * kLines; ++i) expected += "0123456789abcde\n";
  EXPECT_EQ(Content("file"), expected);
}

TEST_P(OpenTest, DirectoryFlagAndKindMustFit) {
  MakeFile("file");
  MakeDirectory("dir");
  ASSERT_EQ(Error(::symlink("dir", At("link").c_str())), 0);
  EXPECT_EQ(OpenError("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
  EXPECT_EQ(OpenError("dir", O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(OpenError("dir", O_WRONLY), EISDIR);
  EXPECT_EQ(OpenError("dir", O_RDWR), EISDIR);
  EXPECT_EQ(OpenError("dir", O_RDONLY | O_CREAT), EISDIR);
  EXPECT_EQ(OpenError("link", O_RDONLY | O_NOFOLLOW), ELOOP);
  EXPECT_EQ(OpenError("link", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
  const int dir = Open("dir", O_RDONLY);
  char word = 0;
  EXPECT_EQ(Error(::read(dir, &word, 1)), EISDIR);
  ::close(dir);
}

TEST_P(OpenTest, PathHandleNamesButDoesNotRead) {
  MakeFile("file", "content", 0);
  MakeDirectory("dir");
  ASSERT_EQ(Error(::symlink("file", At("link").c_str())), 0);
  EXPECT_EQ(As(Stranger(),
               [&] {
                 const int fd = Open("file", O_PATH);
                 char word = 0;
                 struct stat status = {};
                 if (fd < 0 || Error(::read(fd, &word, 1)) != EBADF) return 1;
                 if (::fstat(fd, &status) != 0 || status.st_size != 7) return 2;
                 return Error(::fchmod(fd, 0777)) == EBADF ? 0 : 3;
               }),
            0);
  const int dir = Open("dir", O_PATH | O_DIRECTORY);
  EXPECT_EQ(Error(::mkdirat(dir, "sub", 0755)), 0);
  ::close(dir);
  const int link = Open("link", O_PATH | O_NOFOLLOW);
  struct stat status = {};
  EXPECT_EQ(Error(::fstat(link, &status)), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
  ::close(link);
}

TEST_P(OpenTest, HandleDoesOnlyWhatItWasOpenedFor) {
  MakeFile("file", "content");
  const int reader = Open("file", O_RDONLY);
  const int writer = Open("file", O_WRONLY);
  char word = 0;
  EXPECT_EQ(Error(::write(reader, "x", 1)), EBADF);
  EXPECT_EQ(Error(::ftruncate(reader, 0)), EINVAL);
  EXPECT_EQ(Error(::fallocate(reader, 0, 0, 1)), EBADF);
  EXPECT_EQ(Error(::read(writer, &word, 1)), EBADF);
  ::close(reader);
  ::close(writer);
}

TEST_P(OpenTest, DirectWritesAndReadsAgreeWithCachedOnes) {
  constexpr size_t kSize = 64 << 10;
  MakeFile("file", std::string(kSize, 'a'));
  const int fd = Open("file", O_RDWR | O_DIRECT);
  ASSERT_GE(fd, 0);
  auto* const memory = static_cast<char*>(std::aligned_alloc(4096, kSize));
  std::memset(memory, 'b', kSize);
  EXPECT_EQ(::pwrite(fd, memory, 4096, 8192), 4096);
  std::string expected(kSize, 'a');
  expected.replace(8192, 4096, 4096, 'b');
  EXPECT_TRUE(Content("file") == expected);
  const int cached = Open("file", O_RDWR);
  EXPECT_EQ(::pwrite(cached, "c", 1, 100), 1);
  expected[100] = 'c';
  EXPECT_EQ(::pread(fd, memory, kSize, 0), static_cast<ssize_t>(kSize));
  EXPECT_TRUE(std::string(memory, kSize) == expected);
  std::free(memory);
  ::close(cached);
  ::close(fd);
}

// The kernel has FUSE_TMPFILE, libfuse 3.14 has not.
TEST_P(OpenTest, UnnamedFileGetsANameByLinkOrIsRefused) {
  const int fd = ::open(directory().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (IsDedupfs()) {
    EXPECT_EQ(Error(fd), EOPNOTSUPP);
    return;
  }
  ASSERT_GE(fd, 0);
  EXPECT_EQ(::write(fd, "content", 7), 7);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  EXPECT_EQ(
      Error(::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, At("file").c_str(), AT_SYMLINK_FOLLOW)), 0);
  ::close(fd);
  EXPECT_EQ(Content("file"), "content");
}

TEST_P(OpenTest, RunningProgramIsNotWritten) {
  ASSERT_EQ(
      InChildProcess([&] { return ::execlp("cp", "cp", "/bin/cat", At("cat").c_str(), nullptr); }),
      0);
  std::array<int, 2> pipes = {};
  ASSERT_EQ(::pipe2(pipes.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(pipes[0], STDIN_FILENO);
    ::execl(At("cat").c_str(), "cat", nullptr);
    ::_exit(1);
  }
  // It runs once its name has changed; until then this is the child of before exec.
  std::string target(4096, '\0');
  while (target != At("cat")) {
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
    target.resize(4096);
    const ssize_t got = ::readlink(("/proc/" + std::to_string(child) + "/exe").c_str(),
                                   target.data(), target.size());
    target.resize(got < 0 ? 0 : got);
  }
  EXPECT_EQ(OpenError("cat", O_WRONLY), ETXTBSY);
  EXPECT_EQ(Error(::truncate(At("cat").c_str(), 0)), ETXTBSY);
  EXPECT_EQ(Unlink("cat"), 0);
  ::close(pipes[0]);
  ::close(pipes[1]);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_P(OpenTest, FileOpenForWritingIsNotRun) {
  MakeFile("script", "#!/bin/sh\nexit 0\n", 0755);
  const int fd = Open("script", O_WRONLY);
  EXPECT_EQ(InChildProcess([&] {
              ::execl(At("script").c_str(), "script", nullptr);
              return errno;
            }),
            ETXTBSY);
  ::close(fd);
  EXPECT_EQ(InChildProcess([&] {
              ::execl(At("script").c_str(), "script", nullptr);
              return errno;
            }),
            0);
}

TEST_P(OpenTest, VectoredAndPositionedCallsKeepTheOffset) {
  const int fd = Open("file", O_RDWR | O_CREAT);
  std::string a = "abc";
  std::string b = "defgh";
  const std::array<iovec, 2> out = {iovec{a.data(), a.size()}, iovec{b.data(), b.size()}};
  EXPECT_EQ(::writev(fd, out.data(), 2), 8);
  EXPECT_EQ(::pwritev(fd, out.data(), 2, 100), 8);
  EXPECT_EQ(::lseek(fd, 0, SEEK_CUR), 8);
  EXPECT_EQ(::lseek(fd, 0, SEEK_END), 108);
  EXPECT_EQ(Error(::lseek(fd, -1, SEEK_SET)), EINVAL);
  EXPECT_EQ(Content("file"), "abcdefgh" + std::string(92, '\0') + "abcdefgh");
  ::close(fd);
}

}  // namespace
}  // namespace dedupfs
