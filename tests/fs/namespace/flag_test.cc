// Immutable and append-only inodes.
#include <cstdio>
#include <string>

#include "fs/namespace/inode_flags.h"
#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class FlagTest : public NamespaceFixture {
 protected:
  void TearDown() override { EXPECT_TRUE(Problems().empty()); }

  int Rename(Ino from, std::string_view name, Ino to, std::string_view new_name,
             unsigned flags = 0) {
    return CodeOf(ns_->Rename(from, name, to, new_name, flags));
  }
};

TEST_F(FlagTest, FlagsAreKeptAndHiddenFromXattrs) {
  const Ino file = File(kRootIno, "f");
  ASSERT_TRUE(ns_->SetFlags(file, kImmutable | kAppendOnly));
  Reopen();
  EXPECT_EQ(Stat(file).flags, kImmutable | kAppendOnly);
  EXPECT_TRUE(ns_->ListXattrs(file)->empty());
  EXPECT_EQ(CodeOf(ns_->GetXattr(file, kImmutableName)), EOPNOTSUPP);
  ASSERT_TRUE(ns_->SetFlags(file, kAppendOnly));
  EXPECT_EQ(Stat(file).flags, kAppendOnly);
  ASSERT_TRUE(ns_->SetFlags(file, 0));
  EXPECT_EQ(Stat(file).flags, 0u);
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, kImmutableName, "", 0, {})), EOPNOTSUPP);
  EXPECT_EQ(CodeOf(ns_->RemoveXattr(file, kImmutableName)), EOPNOTSUPP);
}

TEST_F(FlagTest, FlagsHoldWhereTheRecordIsFullOfXattrs) {
  const Ino file = File(kRootIno, "f");
  for (char c = 'a'; c <= 'd'; ++c) {
    ASSERT_TRUE(ns_->SetXattr(file, std::string("user.") + c, std::string(248, c), 0, {}));
  }
  ASSERT_TRUE(ns_->SetFlags(file, kImmutable));
  Reopen();
  EXPECT_EQ(Stat(file).flags, kImmutable);
  EXPECT_TRUE(Problems().empty());
  ASSERT_TRUE(ns_->SetFlags(file, 0));
  EXPECT_EQ(Stat(file).flags, 0u);
}

TEST_F(FlagTest, FlagsNeedRoomInTheListOfNames) {
  const Ino file = File(kRootIno, "f");
  int code = 0;
  for (int i = 100; code == 0; ++i) {
    const std::string name = "user." + std::to_string(i) + std::string(240, 'n');
    code = CodeOf(ns_->SetXattr(file, name, "v", 0, {}));
  }
  EXPECT_EQ(code, ENOSPC);
  for (int i = 0; CodeOf(ns_->SetXattr(file, "user." + std::to_string(i), "v", 0, {})) == 0;) ++i;
  EXPECT_EQ(CodeOf(ns_->SetFlags(file, kImmutable)), ENOSPC);
  Reopen();
  EXPECT_EQ(Stat(file).flags, 0u);
}

TEST_F(FlagTest, ProtectedInodeKeepsItsNamesAndXattrs) {
  const Ino file = File(kRootIno, "f");
  File(kRootIno, "other");
  ASSERT_TRUE(ns_->SetXattr(file, "user.a", "v", 0, {}));
  for (const uint32_t flags : {kImmutable, kAppendOnly}) {
    ASSERT_TRUE(ns_->SetFlags(file, flags));
    EXPECT_EQ(CodeOf(ns_->Unlink(kRootIno, "f")), EPERM);
    EXPECT_EQ(CodeOf(ns_->Link(file, kRootIno, "link")), EPERM);
    EXPECT_EQ(Rename(kRootIno, "f", kRootIno, "new"), EPERM);
    EXPECT_EQ(Rename(kRootIno, "other", kRootIno, "f"), EPERM);
    EXPECT_EQ(Rename(kRootIno, "other", kRootIno, "f", RENAME_EXCHANGE), EPERM);
    EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.b", "v", 0, {})), EPERM);
    EXPECT_EQ(CodeOf(ns_->RemoveXattr(file, "user.a")), EPERM);
  }
  ASSERT_TRUE(ns_->SetFlags(file, 0));
  EXPECT_EQ(Rename(kRootIno, "other", kRootIno, "f"), 0);
}

TEST_F(FlagTest, AppendOnlyDirectoryTakesNamesAndImmutableNone) {
  const Ino dir = Dir(kRootIno, "d");
  File(dir, "f");
  const Ino other = File(kRootIno, "other");
  ASSERT_TRUE(ns_->SetFlags(dir, kAppendOnly));
  EXPECT_EQ(CodeOf(Make(dir, "new", S_IFREG | 0644)), 0);
  EXPECT_EQ(CodeOf(ns_->Link(other, dir, "link")), 0);
  EXPECT_EQ(Rename(kRootIno, "other", dir, "moved"), 0);
  EXPECT_EQ(Rename(dir, "f", dir, "g"), EPERM);
  EXPECT_EQ(CodeOf(ns_->Unlink(dir, "f")), EPERM);
  ASSERT_TRUE(ns_->SetFlags(dir, kImmutable));
  EXPECT_EQ(CodeOf(Make(dir, "newer", S_IFREG | 0644)), EPERM);
  EXPECT_EQ(CodeOf(ns_->Link(other, dir, "another")), EPERM);
  EXPECT_EQ(CodeOf(ns_->Unlink(dir, "f")), EPERM);
  EXPECT_EQ(CodeOf(ns_->RemoveDirectory(kRootIno, "d")), EPERM);
}

}  // namespace
}  // namespace dedupfs
