// Unlink, rmdir and orphans.
#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class RemoveTest : public NamespaceFixture {};

TEST_F(RemoveTest, LastNameLeavesAnOrphan) {
  const Ino file = File(kRootIno, "a");
  ASSERT_TRUE(ns_->Link(file, kRootIno, "b"));
  SetOldTimes(kRootIno);
  SetOldTimes(file);
  const auto first = ns_->Unlink(kRootIno, "a");
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->orphaned);
  EXPECT_GT(Stat(file).ctime, 1);
  EXPECT_GT(Stat(kRootIno).mtime, 1);
  EXPECT_TRUE(ns_->Orphans()->empty());
  const auto second = ns_->Unlink(kRootIno, "b");
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->orphaned);
  EXPECT_EQ(second->ino, file);
  EXPECT_EQ(Stat(file).nlink, 0u);
  EXPECT_EQ(*ns_->Orphans(), std::vector<Ino>{file});
  EXPECT_TRUE(Problems().empty());
}

TEST_F(RemoveTest, ErasedOrphanIsGoneWithItsXattrs) {
  const Ino file = File(kRootIno, "a");
  ASSERT_TRUE(ns_->SetXattr(file, "user.big", std::string(5000, 'x'), 0, {}));
  ASSERT_TRUE(ns_->Unlink(kRootIno, "a"));
  Reopen();
  ASSERT_EQ(*ns_->Orphans(), std::vector<Ino>{file});
  Batch batch;
  ASSERT_TRUE(ns_->EraseOrphan(file, batch));
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  EXPECT_EQ(CodeOf(ns_->Get(file)), ESTALE);
  EXPECT_TRUE(ns_->Orphans()->empty());
  EXPECT_FALSE(kv_->Iterate(Family::kXattr, {}, {})->Valid());
  EXPECT_EQ(ns_->InodeCount(), 1u);
  EXPECT_TRUE(Problems().empty());
}

TEST_F(RemoveTest, AnInodeWithNamesIsNotErased) {
  const Ino file = File(kRootIno, "a");
  Batch batch;
  EXPECT_EQ(CodeOf(ns_->EraseOrphan(file, batch)), EIO);
  EXPECT_TRUE(batch.empty());
}

TEST_F(RemoveTest, TypesAreTheOnesAskedFor) {
  File(kRootIno, "f");
  Dir(kRootIno, "d");
  EXPECT_EQ(CodeOf(ns_->Unlink(kRootIno, "d")), EISDIR);
  EXPECT_EQ(CodeOf(ns_->RemoveDirectory(kRootIno, "f")), ENOTDIR);
  EXPECT_EQ(CodeOf(ns_->Unlink(kRootIno, "x")), ENOENT);
  EXPECT_EQ(CodeOf(ns_->RemoveDirectory(kRootIno, "x")), ENOENT);
  EXPECT_EQ(CodeOf(ns_->RemoveDirectory(kRootIno, ".")), EINVAL);
  EXPECT_EQ(CodeOf(ns_->RemoveDirectory(kRootIno, "..")), ENOTEMPTY);
  EXPECT_EQ(CodeOf(ns_->Unlink(4711, "x")), ESTALE);
}

TEST_F(RemoveTest, OnlyAnEmptyDirectoryIsRemoved) {
  const Ino dir = Dir(kRootIno, "d");
  File(dir, "f");
  EXPECT_EQ(CodeOf(ns_->RemoveDirectory(kRootIno, "d")), ENOTEMPTY);
  ASSERT_TRUE(ns_->Unlink(dir, "f"));
  const auto removed = ns_->RemoveDirectory(kRootIno, "d");
  ASSERT_TRUE(removed);
  EXPECT_TRUE(removed->orphaned);
  EXPECT_EQ(Stat(kRootIno).nlink, 2u);
  EXPECT_EQ(Stat(dir).nlink, 0u);
}

TEST_F(RemoveTest, RemovedDirectoryListsOnlyDotAndDotDot) {
  const Ino dir = Dir(kRootIno, "d");
  ASSERT_TRUE(ns_->RemoveDirectory(kRootIno, "d"));
  const auto entries = Entries(dir, 0);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, ".");
  EXPECT_EQ(entries[1].name, "..");
  EXPECT_EQ(entries[1].ino, kRootIno);
  EXPECT_EQ(ns_->Lookup(dir, ".")->nlink, 0u);
}

}  // namespace
}  // namespace dedupfs
