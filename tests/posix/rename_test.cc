// Rename in its corners.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class RenameTest : public PosixTest {};
POSIX_RULES(rename, RenameTest);

TEST_P(RenameTest, FileReplacesFile) {
  MakeFile("a", "first");
  MakeFile("b", "second");
  const int replaced = ::open(At("b").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(Rename("a", "b"), 0);
  EXPECT_FALSE(IsThere("a"));
  EXPECT_EQ(Content("b"), "first");
  char text[8] = {};
  EXPECT_EQ(::pread(replaced, text, sizeof(text), 0), 6);
  EXPECT_STREQ(text, "second");
  ::close(replaced);
}

TEST_P(RenameTest, OntoALinkOfTheSameFileIsNothing) {
  MakeFile("a");
  ASSERT_EQ(Link("a", "b"), 0);
  EXPECT_EQ(Rename("a", "b"), 0);
  EXPECT_TRUE(IsThere("a"));
  EXPECT_TRUE(IsThere("b"));
  EXPECT_EQ(Stat("a").st_nlink, 2U);
  EXPECT_EQ(Rename("a", "a"), 0);
  EXPECT_TRUE(IsThere("a"));
}

TEST_P(RenameTest, KindsMustFit) {
  MakeFile("file");
  MakeDirectory("dir");
  MakeDirectory("full");
  MakeFile("full/file");
  EXPECT_EQ(Rename("file", "dir"), EISDIR);
  EXPECT_EQ(Rename("dir", "file"), ENOTDIR);
  EXPECT_EQ(Rename("dir", "full"), ENOTEMPTY);
  EXPECT_EQ(Rename("absent", "file"), ENOENT);
  EXPECT_EQ(Rename("file", "absent/file"), ENOENT);
  EXPECT_EQ(Rename("file", "file/file"), ENOTDIR);
  EXPECT_EQ(Rename("full", "dir"), 0);
  EXPECT_TRUE(IsThere("dir/file"));
  EXPECT_FALSE(IsThere("full"));
}

TEST_P(RenameTest, DirectoryDoesNotGoBelowItself) {
  MakeDirectory("dir");
  MakeDirectory("dir/sub");
  MakeDirectory("dir/sub/deep");
  EXPECT_EQ(Rename("dir", "dir/new"), EINVAL);
  EXPECT_EQ(Rename("dir", "dir/sub/deep/new"), EINVAL);
  EXPECT_EQ(Rename("dir/sub/deep", "dir"), ENOTEMPTY);
  EXPECT_EQ(Rename("dir/sub", "dir"), ENOTEMPTY);
}

TEST_P(RenameTest, DotsAreRefused) {
  MakeDirectory("dir");
  MakeDirectory("other");
  EXPECT_EQ(Rename("dir/.", "new"), EBUSY);
  EXPECT_EQ(Rename("dir/..", "new"), EBUSY);
  EXPECT_EQ(Rename("other", "dir/."), EBUSY);
  EXPECT_EQ(Rename("other", "dir/.."), EBUSY);
}

TEST_P(RenameTest, TrailingSlashesAreForDirectories) {
  MakeFile("file");
  MakeDirectory("dir");
  EXPECT_EQ(Rename("file", "new/"), ENOTDIR);
  EXPECT_EQ(Rename("file/", "new"), ENOTDIR);
  EXPECT_EQ(Rename("dir/", "new/"), 0);
  EXPECT_TRUE(IsThere("new"));
}

TEST_P(RenameTest, SymlinkIsMovedNotFollowed) {
  MakeDirectory("dir");
  MakeFile("file", "kept");
  ASSERT_EQ(Error(::symlink("dir", At("link").c_str())), 0);
  EXPECT_EQ(Rename("link", "moved"), 0);
  EXPECT_TRUE(S_ISLNK(Stat("moved").st_mode));
  EXPECT_EQ(Rename("file", "moved"), 0);  // replaces the symlink
  EXPECT_TRUE(S_ISREG(Stat("moved").st_mode));
  EXPECT_EQ(Stat("dir").st_nlink, 2U);
}

TEST_P(RenameTest, MovedDirectoryKnowsItsNewParent) {
  MakeDirectory("a");
  MakeDirectory("b");
  MakeDirectory("a/dir");
  ASSERT_EQ(Rename("a/dir", "b/dir"), 0);
  EXPECT_EQ(Stat("b/dir/..").st_ino, Stat("b").st_ino);
  EXPECT_EQ(Stat("a").st_nlink, 2U);
  EXPECT_EQ(Stat("b").st_nlink, 3U);
}

TEST_P(RenameTest, NoReplaceKeepsWhatIsThere) {
  MakeFile("a", "first");
  MakeFile("b", "second");
  EXPECT_EQ(Rename("a", "b", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(Rename("a", "a", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(Content("b"), "second");
  EXPECT_EQ(Rename("a", "c", RENAME_NOREPLACE), 0);
  EXPECT_EQ(Content("c"), "first");
}

TEST_P(RenameTest, ExchangeSwapsEvenDifferentKinds) {
  MakeDirectory("x");
  MakeDirectory("y");
  MakeFile("x/file", "content");
  MakeDirectory("y/dir");
  MakeFile("y/dir/inside");
  EXPECT_EQ(Rename("x/file", "y/dir", RENAME_EXCHANGE), 0);
  EXPECT_TRUE(S_ISDIR(Stat("x/file").st_mode));
  EXPECT_EQ(Content("y/dir"), "content");
  EXPECT_TRUE(IsThere("x/file/inside"));
  EXPECT_EQ(Stat("x").st_nlink, 3U);
  EXPECT_EQ(Stat("y").st_nlink, 2U);
  EXPECT_EQ(Stat("x/file/..").st_ino, Stat("x").st_ino);
  EXPECT_EQ(Rename("x/file", "absent", RENAME_EXCHANGE), ENOENT);
  EXPECT_EQ(Rename("absent", "x/file", RENAME_EXCHANGE), ENOENT);
  EXPECT_EQ(Rename("x", "x/file", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Rename("x/file", "x", RENAME_EXCHANGE), EINVAL);
}

TEST_P(RenameTest, FlagsThatContradictAreRefused) {
  MakeFile("a");
  MakeFile("b");
  EXPECT_EQ(Rename("a", "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Rename("a", "b", 1U << 7), EINVAL);
}

// Only overlay file systems need it, and the kernel does not hand it to a FUSE server.
TEST_P(RenameTest, WhiteoutIsMadeOrRefused) {
  MakeFile("a", "content");
  EXPECT_EQ(Rename("a", "b", RENAME_WHITEOUT), IsDedupfs() ? EINVAL : 0);
  EXPECT_EQ(Content(IsDedupfs() ? "a" : "b"), "content");
}

TEST_P(RenameTest, WritableParentsAreNeededOnBothSides) {
  MakeDirectory("closed", 0755);
  MakeDirectory("open", 0777);
  MakeFile("closed/file");
  MakeFile("open/file");
  EXPECT_EQ(As(Stranger(), [&] { return Rename("closed/file", "open/new"); }), EACCES);
  EXPECT_EQ(As(Stranger(), [&] { return Rename("open/file", "closed/new"); }), EACCES);
  EXPECT_EQ(As(Stranger(), [&] { return Rename("open/file", "open/new"); }), 0);
}

}  // namespace
}  // namespace dedupfs
