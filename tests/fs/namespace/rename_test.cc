// The rules of rename.
#include <cstdio>

#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class RenameTest : public NamespaceFixture {
 protected:
  void TearDown() override { EXPECT_TRUE(Problems().empty()); }
  int Rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name,
             unsigned flags = 0) {
    return CodeOf(ns_->Rename(parent, name, new_parent, new_name, flags));
  }
};

TEST_F(RenameTest, MovesANameBetweenDirectories) {
  const Ino dir = Dir(kRootIno, "d");
  const Ino file = File(kRootIno, "a");
  for (const Ino ino : {dir, file, kRootIno}) SetOldTimes(ino);
  EXPECT_EQ(Rename(kRootIno, "a", dir, "b"), 0);
  EXPECT_FALSE(IsThere(kRootIno, "a"));
  EXPECT_EQ(ns_->Lookup(dir, "b")->ino, file);
  EXPECT_GT(Stat(file).ctime, 1);
  EXPECT_GT(Stat(dir).mtime, 1);
  EXPECT_GT(Stat(kRootIno).mtime, 1);
  EXPECT_EQ(ns_->PathOf(file), "/d/b");
}

TEST_F(RenameTest, MovedDirectoryTakesItsDotDotAndLinksAlong) {
  const Ino from = Dir(kRootIno, "from"), to = Dir(kRootIno, "to"), moved = Dir(from, "m");
  EXPECT_EQ(Rename(from, "m", to, "m"), 0);
  EXPECT_EQ(ns_->Lookup(moved, "..")->ino, to);
  EXPECT_EQ(Stat(from).nlink, 2u);
  EXPECT_EQ(Stat(to).nlink, 3u);
}

TEST_F(RenameTest, ReplacedFileIsReturnedAndOrphaned) {
  const Ino a = File(kRootIno, "a"), b = File(kRootIno, "b");
  const auto renamed = ns_->Rename(kRootIno, "a", kRootIno, "b", 0);
  ASSERT_TRUE(renamed && *renamed);
  EXPECT_EQ((*renamed)->ino, b);
  EXPECT_TRUE((*renamed)->orphaned);
  EXPECT_EQ(ns_->Lookup(kRootIno, "b")->ino, a);
  EXPECT_EQ(Entries(kRootIno).size(), 1u);
}

TEST_F(RenameTest, TwoNamesOfOneInodeStayAsTheyAre) {
  const Ino a = File(kRootIno, "a");
  ASSERT_TRUE(ns_->Link(a, kRootIno, "b"));
  const auto renamed = ns_->Rename(kRootIno, "a", kRootIno, "b", 0);
  ASSERT_TRUE(renamed);
  EXPECT_FALSE(*renamed);
  EXPECT_TRUE(IsThere(kRootIno, "a"));
  EXPECT_TRUE(IsThere(kRootIno, "b"));
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "a"), 0);
}

TEST_F(RenameTest, DirectoryReplacesOnlyAnEmptyDirectory) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(kRootIno, "b");
  File(b, "f");
  File(kRootIno, "file");
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "b"), ENOTEMPTY);
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "file"), ENOTDIR);
  EXPECT_EQ(Rename(kRootIno, "file", kRootIno, "a"), EISDIR);
  ASSERT_TRUE(ns_->Unlink(b, "f"));
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "b"), 0);
  EXPECT_EQ(ns_->Lookup(kRootIno, "b")->ino, a);
  EXPECT_EQ(Stat(kRootIno).nlink, 3u);
  EXPECT_EQ(Stat(b).nlink, 0u);
}

TEST_F(RenameTest, DirectoryIntoItselfIsEinval) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(a, "b"), c = Dir(b, "c");
  EXPECT_EQ(Rename(kRootIno, "a", a, "x"), EINVAL);
  EXPECT_EQ(Rename(kRootIno, "a", c, "x"), EINVAL);
  EXPECT_EQ(Rename(b, "c", kRootIno, "a"), ENOTEMPTY);
  EXPECT_EQ(Rename(b, "c", kRootIno, "a", RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Rename(kRootIno, "a", b, "c", RENAME_EXCHANGE), EINVAL);
}

TEST_F(RenameTest, NoReplaceKeepsWhatIsThere) {
  File(kRootIno, "a");
  File(kRootIno, "b");
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "b", RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "c", RENAME_NOREPLACE), 0);
}

TEST_F(RenameTest, ExchangeSwapsNamesOfAnyTypes) {
  const Ino from = Dir(kRootIno, "from"), to = Dir(kRootIno, "to");
  const Ino dir = Dir(from, "d"), file = File(to, "f");
  EXPECT_EQ(Rename(from, "d", to, "f", RENAME_EXCHANGE), 0);
  EXPECT_EQ(ns_->Lookup(from, "d")->ino, file);
  EXPECT_EQ(ns_->Lookup(to, "f")->ino, dir);
  EXPECT_EQ(ns_->Lookup(dir, "..")->ino, to);
  EXPECT_EQ(Stat(from).nlink, 2u);
  EXPECT_EQ(Stat(to).nlink, 3u);
  EXPECT_EQ(Rename(from, "d", to, "none", RENAME_EXCHANGE), ENOENT);
}

TEST_F(RenameTest, UnknownFlagsAndDotNamesAreEinval) {
  File(kRootIno, "a");
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "b", RENAME_WHITEOUT), EINVAL);
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
  EXPECT_EQ(Rename(kRootIno, ".", kRootIno, "b"), EINVAL);
  EXPECT_EQ(Rename(kRootIno, "a", kRootIno, ".."), EINVAL);
  EXPECT_EQ(Rename(kRootIno, "none", kRootIno, "b"), ENOENT);
}

TEST_F(RenameTest, RemovedDirectoryTakesNoName) {
  const Ino dir = Dir(kRootIno, "d");
  File(kRootIno, "a");
  ASSERT_TRUE(ns_->RemoveDirectory(kRootIno, "d"));
  EXPECT_EQ(Rename(kRootIno, "a", dir, "a"), ENOENT);
}

}  // namespace
}  // namespace dedupfs
