// Links, symlinks and removal; rename in its corners.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class LinkTest : public PosixTest {};
POSIX_RULES(link, LinkTest);

TEST_P(LinkTest, LinksAreTheSameFile) {
  MakeFile("a", "old");
  ASSERT_EQ(Link("a", "b"), 0);
  EXPECT_EQ(Stat("a").st_ino, Stat("b").st_ino);
  EXPECT_EQ(Stat("b").st_nlink, 2U);
  Chmod("b", 0611);
  EXPECT_EQ(Mode("a"), 0611U);
  ASSERT_EQ(Unlink("a"), 0);
  EXPECT_EQ(Stat("b").st_nlink, 1U);
  EXPECT_EQ(Content("b"), "old");
}

TEST_P(LinkTest, LinkRefusesWhatCannotBeLinked) {
  MakeFile("file");
  MakeDirectory("dir");
  EXPECT_EQ(Link("dir", "new"), EPERM);
  EXPECT_EQ(Link("file", "dir"), EEXIST);
  EXPECT_EQ(Link("file", "file"), EEXIST);
  EXPECT_EQ(Link("absent", "new"), ENOENT);
  EXPECT_EQ(Link("file", "absent/new"), ENOENT);
  EXPECT_EQ(Link("file", "file/new"), ENOTDIR);
  EXPECT_EQ(Link("file/", "new"), ENOTDIR);
  EXPECT_EQ(Link("file", "new/"), ENOENT);
  EXPECT_EQ(Link("file", "."), EEXIST);
}

TEST_P(LinkTest, LinkToASymlinkLinksTheSymlink) {
  MakeFile("file");
  ASSERT_EQ(Error(::symlink("file", At("link").c_str())), 0);
  ASSERT_EQ(Link("link", "hard"), 0);
  EXPECT_TRUE(S_ISLNK(Stat("hard").st_mode));
  EXPECT_EQ(Stat("hard").st_nlink, 2U);
  ASSERT_EQ(Error(::linkat(AT_FDCWD, At("link").c_str(), AT_FDCWD, At("followed").c_str(),
                           AT_SYMLINK_FOLLOW)),
            0);
  EXPECT_TRUE(S_ISREG(Stat("followed").st_mode));
}

TEST_P(LinkTest, SpecialFilesCanBeLinked) {
  ASSERT_EQ(Error(::mkfifo(At("fifo").c_str(), 0600)), 0);
  ASSERT_EQ(Link("fifo", "hard"), 0);
  EXPECT_TRUE(S_ISFIFO(Stat("hard").st_mode));
}

// ext4 gives a file 65,000 names, and so do we.
TEST_P(LinkTest, OneNameTooManyIsRefused) {
  MakeFile("file");
  for (int i = 1; i < 65'000; ++i) {
    ASSERT_EQ(Link("file", "n" + std::to_string(i)), 0) << i;
  }
  EXPECT_EQ(Stat("file").st_nlink, 65'000U);
  EXPECT_EQ(Link("file", "over"), EMLINK);
  ASSERT_EQ(Unlink("n1"), 0);
  EXPECT_EQ(Link("file", "over"), 0);
}

TEST_P(LinkTest, OpenFileOutlivesItsName) {
  MakeFile("file", "content");
  const int fd = ::open(At("file").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(Unlink("file"), 0);
  MakeFile("file", "another");
  struct stat status = {};
  ASSERT_EQ(Error(::fstat(fd, &status)), 0);
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_EQ(status.st_size, 7);
  EXPECT_EQ(::pwrite(fd, "C", 1, 0), 1);
  EXPECT_EQ(Error(::ftruncate(fd, 3)), 0);
  EXPECT_EQ(Error(::fchmod(fd, 0600)), 0);
  EXPECT_EQ(Error(::fsync(fd)), 0);
  char text[8] = {};
  EXPECT_EQ(::pread(fd, text, sizeof(text), 0), 3);
  EXPECT_STREQ(text, "Con");
  EXPECT_EQ(Error(::close(fd)), 0);
  EXPECT_EQ(Content("file"), "another");
}

TEST_P(LinkTest, UnlinkedFileGetsNoNewName) {
  MakeFile("file");
  const int fd = ::open(At("file").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(Unlink("file"), 0);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  EXPECT_EQ(Error(::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, At("new").c_str(), AT_SYMLINK_FOLLOW)),
            ENOENT);
  ::close(fd);
}

TEST_P(LinkTest, RemovedDirectoryTakesNoNewNames) {
  MakeDirectory("dir");
  const int fd = ::open(At("dir").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(Rmdir("dir"), 0);
  EXPECT_EQ(Error(::mkdirat(fd, "sub", 0755)), ENOENT);
  EXPECT_EQ(Error(::openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)), ENOENT);
  struct stat status = {};
  EXPECT_EQ(Error(::fstat(fd, &status)), 0);
  EXPECT_EQ(status.st_nlink, 0U);
  ::close(fd);
}

TEST_P(LinkTest, UnlinkAndRmdirAreForTheirOwnKind) {
  MakeFile("file");
  MakeDirectory("dir");
  MakeFile("dir/file");
  ASSERT_EQ(Error(::symlink("dir", At("link").c_str())), 0);
  EXPECT_EQ(Unlink("dir"), EISDIR);
  EXPECT_EQ(Unlink("file/"), ENOTDIR);
  EXPECT_EQ(Unlink("absent"), ENOENT);
  EXPECT_EQ(Rmdir("file"), ENOTDIR);
  EXPECT_EQ(Rmdir("dir"), ENOTEMPTY);
  EXPECT_EQ(Rmdir("link"), ENOTDIR);
  EXPECT_EQ(Rmdir("link/"), ENOTDIR);
  EXPECT_EQ(Rmdir("dir/."), EINVAL);
  EXPECT_EQ(Rmdir("dir/.."), ENOTEMPTY);
  EXPECT_EQ(Unlink("link"), 0);
  EXPECT_EQ(Unlink("dir/file"), 0);
  EXPECT_EQ(Rmdir("dir/"), 0);
}

TEST_P(LinkTest, DirectoryLinksCountItsSubdirectories) {
  MakeDirectory("dir");
  EXPECT_EQ(Stat("dir").st_nlink, 2U);
  MakeDirectory("dir/a");
  MakeDirectory("dir/b");
  MakeFile("dir/file");
  EXPECT_EQ(Stat("dir").st_nlink, 4U);
  ASSERT_EQ(Rmdir("dir/a"), 0);
  EXPECT_EQ(Stat("dir").st_nlink, 3U);
}

TEST_P(LinkTest, SymlinkKeepsAnyTarget) {
  for (const size_t size : {size_t{1}, size_t{59}, size_t{60}, size_t{255}, size_t{4095}}) {
    const std::string target(size, 't');
    const std::string name = "link" + std::to_string(size);
    ASSERT_EQ(Error(::symlink(target.c_str(), At(name).c_str())), 0);
    std::string text(5000, '\0');
    const ssize_t got = ::readlink(At(name).c_str(), text.data(), text.size());
    ASSERT_EQ(got, static_cast<ssize_t>(size));
    text.resize(got);
    EXPECT_EQ(text, target);
    EXPECT_EQ(Stat(name).st_size, static_cast<off_t>(size));
  }
  EXPECT_EQ(Error(::symlink("", At("empty").c_str())), ENOENT);
  EXPECT_EQ(Error(::symlink(std::string(4096, 't').c_str(), At("long").c_str())), ENAMETOOLONG);
  EXPECT_EQ(Error(::symlink("x", At("link1").c_str())), EEXIST);
  char few[3] = {};
  EXPECT_EQ(::readlink(At("link59").c_str(), few, sizeof(few)), 3);
  EXPECT_EQ(Error(::readlink(directory().c_str(), few, sizeof(few))), EINVAL);
}

}  // namespace
}  // namespace dedupfs
