// Paths: their lengths, loops, slashes and dots, and what bytes a name may have.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <set>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class PathTest : public PosixTest {
 protected:
  int Open(const std::string& path, int flags = O_RDONLY) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    if (fd < 0) return errno;
    return Error(::close(fd));
  }
};
POSIX_RULES(path, PathTest);

TEST_P(PathTest, FortySymlinksAreFollowedAndNoMore) {
  MakeFile("s0");
  for (int i = 1; i <= 41; ++i) {
    const std::string target = "s" + std::to_string(i - 1);
    ASSERT_EQ(Error(::symlink(target.c_str(), At("s" + std::to_string(i)).c_str())), 0);
  }
  EXPECT_EQ(Open(At("s40")), 0);
  EXPECT_EQ(Open(At("s41")), ELOOP);
}

TEST_P(PathTest, SymlinkToItselfIsALoop) {
  ASSERT_EQ(Error(::symlink("self", At("self").c_str())), 0);
  EXPECT_EQ(Open(At("self")), ELOOP);
  EXPECT_EQ(Open(At("self/file")), ELOOP);
  EXPECT_EQ(Error(::mkdir(At("self/dir").c_str(), 0755)), ELOOP);
  EXPECT_EQ(Unlink("self"), 0);
}

TEST_P(PathTest, NameOf255BytesIsTheLongest) {
  const std::string longest(255, 'n');
  const std::string over(256, 'n');
  MakeFile(longest, "long");
  EXPECT_EQ(Content(longest), "long");
  EXPECT_EQ(Open(At(over)), ENAMETOOLONG);
  EXPECT_EQ(Open(At(over), O_WRONLY | O_CREAT), ENAMETOOLONG);
  EXPECT_EQ(Error(::mkdir(At(over).c_str(), 0755)), ENAMETOOLONG);
  EXPECT_EQ(Error(::symlink("x", At(over).c_str())), ENAMETOOLONG);
  EXPECT_EQ(Error(::link(At(longest).c_str(), At(over).c_str())), ENAMETOOLONG);
  EXPECT_EQ(Error(::rename(At(longest).c_str(), At(over).c_str())), ENAMETOOLONG);
  EXPECT_EQ(Error(::unlink(At(over).c_str())), ENAMETOOLONG);
  EXPECT_EQ(Error(::mkfifo(At(over).c_str(), 0600)), ENAMETOOLONG);
}

TEST_P(PathTest, PathOf4095BytesIsTheLongest) {
  std::string path = directory();
  while (path.size() < PATH_MAX) path += "/.";
  struct stat status = {};
  EXPECT_EQ(Error(::stat(path.c_str(), &status)), ENAMETOOLONG);
  path.resize(PATH_MAX - 1);  // the limit counts the zero at the end
  EXPECT_EQ(Error(::stat(path.c_str(), &status)), 0);
}

TEST_P(PathTest, FileIsNoDirectoryOnTheWay) {
  MakeFile("file");
  EXPECT_EQ(Open(At("file/x")), ENOTDIR);
  EXPECT_EQ(Open(At("file/")), ENOTDIR);
  EXPECT_EQ(Open(At("file/.")), ENOTDIR);
  EXPECT_EQ(Open(At("file/..")), ENOTDIR);
  EXPECT_EQ(Error(::mkdir(At("file/dir").c_str(), 0755)), ENOTDIR);
  EXPECT_EQ(Open(At("absent/x")), ENOENT);
  EXPECT_EQ(Open(""), ENOENT);
}

TEST_P(PathTest, TrailingSlashAsksForADirectory) {
  ASSERT_EQ(Error(::mkdir(At("dir/").c_str(), 0755)), 0);
  EXPECT_EQ(Open(At("dir/")), 0);
  EXPECT_EQ(Open(At("new/"), O_WRONLY | O_CREAT), EISDIR);
  EXPECT_EQ(Error(::mknod(At("new/").c_str(), S_IFREG | 0644, 0)), ENOENT);
  ASSERT_EQ(Error(::symlink("dir", At("link").c_str())), 0);
  struct stat status = {};
  ASSERT_EQ(Error(::lstat(At("link/").c_str(), &status)), 0);
  EXPECT_TRUE(S_ISDIR(status.st_mode));
}

TEST_P(PathTest, DanglingSymlinkIsMadeTrueByCreate) {
  ASSERT_EQ(Error(::symlink("target", At("link").c_str())), 0);
  EXPECT_EQ(Open(At("link")), ENOENT);
  EXPECT_EQ(Open(At("link"), O_WRONLY | O_CREAT | O_EXCL), EEXIST);
  EXPECT_EQ(Error(::mkdir(At("link").c_str(), 0755)), EEXIST);
  EXPECT_EQ(Open(At("link"), O_WRONLY | O_CREAT), 0);
  EXPECT_TRUE(S_ISREG(Stat("target").st_mode));
}

TEST_P(PathTest, NamesMayHaveAllBytesButSlashAndZero) {
  MakeDirectory("dir");
  std::set<std::string> made;
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    const std::string name = std::string(1, static_cast<char>(byte)) + "n";
    MakeFile("dir/" + name, name);
    made.insert(name);
  }
  std::set<std::string> listed;
  DIR* const dir = ::opendir(At("dir").c_str());
  ASSERT_NE(dir, nullptr);
  while (const dirent* const entry = ::readdir(dir)) {
    if (entry->d_name[0] == '.' && entry->d_name[1] != 'n') continue;
    listed.insert(entry->d_name);
  }
  ::closedir(dir);
  EXPECT_EQ(listed, made);
  for (const std::string& name : made) EXPECT_EQ(Content("dir/" + name), name);
}

TEST_P(PathTest, NamesThatDifferInCaseOrFormAreDifferent) {
  MakeFile("name", "lower");
  MakeFile("Name", "upper");
  MakeFile("\xc3\xa9", "composed");
  MakeFile("e\xcc\x81", "decomposed");
  EXPECT_EQ(Content("name"), "lower");
  EXPECT_EQ(Content("\xc3\xa9"), "composed");
}

TEST_P(PathTest, ThousandLevelsWork) {
  constexpr int kDepth = 1000;
  int at = ::open(directory().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const auto step = [&at](const char* name) {
    const int next = ::openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::close(at);
    at = next;
    return next >= 0;
  };
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(Error(::mkdirat(at, "deeper", 0755)), 0);
    ASSERT_TRUE(step("deeper"));
  }
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_TRUE(step(".."));
    ASSERT_EQ(Error(::unlinkat(at, "deeper", AT_REMOVEDIR)), 0);
  }
  ::close(at);
  EXPECT_EQ(Stat("").st_nlink, 2U);
}

}  // namespace
}  // namespace dedupfs
