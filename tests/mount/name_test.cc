// Names: what may be made, moved, linked and removed, and what errors are.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <string>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

using NameTest = MountTest;

TEST_F(NameTest, RenameReplacesTheTarget) {
  WriteFile(At("a"), "first");
  WriteFile(At("b"), "second");
  ASSERT_EQ(::rename(At("a").c_str(), At("b").c_str()), 0);
  EXPECT_EQ(ReadFile(At("b")), "first");
  EXPECT_EQ(::access(At("a").c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(NameTest, RenameFlagsAreKept) {
  WriteFile(At("a"), "first");
  WriteFile(At("b"), "second");
  EXPECT_EQ(::renameat2(AT_FDCWD, At("a").c_str(), AT_FDCWD, At("b").c_str(), RENAME_NOREPLACE),
            -1);
  EXPECT_EQ(errno, EEXIST);
  ASSERT_EQ(::renameat2(AT_FDCWD, At("a").c_str(), AT_FDCWD, At("b").c_str(), RENAME_EXCHANGE), 0);
  EXPECT_EQ(ReadFile(At("a")), "second");
  EXPECT_EQ(ReadFile(At("b")), "first");
}

TEST_F(NameTest, DirectoryMovesWithWhatIsInIt) {
  ASSERT_EQ(::mkdir(At("from").c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(At("to").c_str(), 0755), 0);
  WriteFile(At("from/file"), "content");
  ASSERT_EQ(::rename(At("from").c_str(), At("to/moved").c_str()), 0);
  EXPECT_EQ(ReadFile(At("to/moved/file")), "content");
  EXPECT_EQ(StatOf(At("to")).st_nlink, 3U);
  EXPECT_EQ(::rename(At("to").c_str(), At("to/moved/inside").c_str()), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(NameTest, HardLinksShareTheContent) {
  WriteFile(At("a"), "old");
  ASSERT_EQ(::link(At("a").c_str(), At("b").c_str()), 0);
  EXPECT_EQ(StatOf(At("a")).st_nlink, 2U);
  EXPECT_EQ(StatOf(At("a")).st_ino, StatOf(At("b")).st_ino);
  WriteFile(At("b"), "new");
  EXPECT_EQ(ReadFile(At("a")), "new");
  ASSERT_EQ(::unlink(At("a").c_str()), 0);
  EXPECT_EQ(StatOf(At("b")).st_nlink, 1U);
  EXPECT_EQ(ReadFile(At("b")), "new");
}

TEST_F(NameTest, SymlinkKeepsItsTarget) {
  const std::string target(4'000, 't');
  ASSERT_EQ(::symlink(target.c_str(), At("link").c_str()), 0);
  char text[PATH_MAX] = {};
  ASSERT_EQ(::readlink(At("link").c_str(), text, sizeof(text)), 4'000);
  EXPECT_EQ(std::string(text), target);
  EXPECT_TRUE(S_ISLNK(StatOf(At("link")).st_mode));
}

TEST_F(NameTest, FifoCarriesBytesBetweenProcesses) {
  ASSERT_EQ(::mkfifo(At("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(S_ISFIFO(StatOf(At("fifo")).st_mode));
  Fd both(At("fifo"), O_RDWR);
  ASSERT_TRUE(both.ok());
  ASSERT_EQ(::write(both.get(), "through", 7), 7);
  char text[8] = {};
  ASSERT_EQ(::read(both.get(), text, sizeof(text)), 7);
  EXPECT_STREQ(text, "through");
}

TEST_F(NameTest, DeviceNodeKeepsItsNumber) {
  ASSERT_EQ(::mknod(At("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  EXPECT_EQ(StatOf(At("null")).st_rdev, makedev(1, 3));
  Fd null(At("null"), O_WRONLY);  // root's mount has dev
  EXPECT_TRUE(null.ok());
}

TEST_F(NameTest, NamesHaveAtMost255Bytes) {
  WriteFile(At(std::string(255, 'n')), "long");
  EXPECT_EQ(ReadFile(At(std::string(255, 'n'))), "long");
  Fd longer(At(std::string(256, 'n')), O_WRONLY | O_CREAT);
  EXPECT_FALSE(longer.ok());
  EXPECT_EQ(errno, ENAMETOOLONG);
}

TEST_F(NameTest, PathsHaveAtMostPathMaxBytes) {
  std::string path = mountpoint();
  while (path.size() < PATH_MAX) path += "/.";
  struct stat status = {};
  EXPECT_EQ(::stat(path.c_str(), &status), -1);
  EXPECT_EQ(errno, ENAMETOOLONG);
  path.resize(PATH_MAX - 1);  // the limit counts the zero at the end
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
}

TEST_F(NameTest, DeepTreesWork) {
  constexpr int kDepth = 500;
  int directory = ::open(mountpoint().c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_GE(directory, 0);
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(::mkdirat(directory, "deeper", 0755), 0);
    const int next = ::openat(directory, "deeper", O_RDONLY | O_DIRECTORY);
    ASSERT_GE(next, 0);
    ::close(directory);
    directory = next;
  }
  for (int i = 0; i < kDepth; ++i) {
    const int next = ::openat(directory, "..", O_RDONLY | O_DIRECTORY);
    ASSERT_GE(next, 0);
    ::close(directory);
    directory = next;
    ASSERT_EQ(::unlinkat(directory, "deeper", AT_REMOVEDIR), 0);
  }
  ::close(directory);
  EXPECT_EQ(StatOf(mountpoint()).st_nlink, 2U);
}

TEST_F(NameTest, ExclusiveCreateRefusesWhatIsThere) {
  WriteFile(At("file"), "there");
  Fd again(At("file"), O_WRONLY | O_CREAT | O_EXCL);
  EXPECT_FALSE(again.ok());
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(ReadFile(At("file")), "there");
}

TEST_F(NameTest, AbsentNameAppearsOnceItIsMade) {
  struct stat status = {};
  EXPECT_EQ(::stat(At("late").c_str(), &status), -1);
  EXPECT_EQ(::stat(At("late").c_str(), &status), -1);  // the kernel remembers the absence
  WriteFile(At("late"), "now");
  EXPECT_EQ(ReadFile(At("late")), "now");
  ASSERT_EQ(::unlink(At("late").c_str()), 0);
  EXPECT_EQ(::stat(At("late").c_str(), &status), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(NameTest, ErrorsAreThoseOfOtherFileSystems) {
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0755), 0);
  WriteFile(At("dir/file"), "x");
  EXPECT_EQ(::rmdir(At("dir").c_str()), -1);
  EXPECT_EQ(errno, ENOTEMPTY);
  EXPECT_EQ(::unlink(At("dir").c_str()), -1);
  EXPECT_EQ(errno, EISDIR);
  EXPECT_EQ(::rmdir(At("dir/file").c_str()), -1);
  EXPECT_EQ(errno, ENOTDIR);
  EXPECT_EQ(::mkdir(At("dir").c_str(), 0755), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_FALSE(Fd(At("dir"), O_WRONLY).ok());
  EXPECT_EQ(errno, EISDIR);
}

}  // namespace
}  // namespace dedupfs
