// chmod, chown, times and set-id bits.
#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class AttributesTest : public NamespaceFixture {
 protected:
  uint32_t ModeAfter(Ino ino, const AttributeChange& change, const Caller& caller = {}) {
    const auto changed = ns_->SetAttributes(ino, change, caller);
    EXPECT_TRUE(changed);
    return changed ? changed->mode & 07777u : 0;
  }
  Ino Privileged(std::string_view name, uint32_t mode) {
    const Ino ino = File(kRootIno, name);
    AttributeChange change;
    change.mode = mode;
    EXPECT_TRUE(ns_->SetAttributes(ino, change, {}));
    EXPECT_TRUE(ns_->SetXattr(ino, "security.capability", "cap", 0, {}));
    return ino;
  }
  bool HasCapability(Ino ino) { return ns_->GetXattr(ino, "security.capability").has_value(); }
};

TEST_F(AttributesTest, ChangesReachTheRecordAndCtime) {
  const Ino dir = Dir(kRootIno, "d");
  SetOldTimes(dir);
  AttributeChange change;
  change.uid = 3;
  change.gid = 4;
  change.mode = 01700;
  change.mtime = -5;
  ASSERT_TRUE(ns_->SetAttributes(dir, change, {}));
  Reopen();
  const Attributes now = Stat(dir);
  EXPECT_EQ(now.uid, 3u);
  EXPECT_EQ(now.gid, 4u);
  EXPECT_EQ(now.mode, uint32_t{S_IFDIR | 01700});
  EXPECT_EQ(now.mtime, -5);
  EXPECT_EQ(now.atime, 1);
  EXPECT_GT(now.ctime, 1);
}

TEST_F(AttributesTest, MtimeOfARegularFileIsNotOurs) {
  const Ino file = File(kRootIno, "f");
  const Time made = Stat(file).mtime;
  SetOldTimes(file);
  EXPECT_EQ(Stat(file).mtime, made);
}

TEST_F(AttributesTest, ChownClearsSetIdBitsOfExecutablesAndCapabilities) {
  AttributeChange change;
  change.uid = 9;
  const Ino executable = Privileged("a", 06755), locking = Privileged("b", 06745);
  EXPECT_EQ(ModeAfter(executable, change), 0755u);
  EXPECT_EQ(ModeAfter(locking, change), 02745u);
  EXPECT_FALSE(HasCapability(executable));
  const Ino dir = Must(Make(kRootIno, "d", S_IFDIR | 06755));
  EXPECT_EQ(ModeAfter(dir, change), 06755u);
}

TEST_F(AttributesTest, ClearPrivilegesTellsWhetherAnythingWasThere) {
  const Ino file = Privileged("a", 06755);
  SetOldTimes(file);
  EXPECT_EQ(ns_->ClearPrivileges(file, {}).value_or(false), true);
  EXPECT_EQ(Stat(file).mode & 07777u, 0755u);
  EXPECT_GT(Stat(file).ctime, 1);
  EXPECT_FALSE(HasCapability(file));
  EXPECT_EQ(ns_->ClearPrivileges(file, {}).value_or(true), false);
}

TEST_F(AttributesTest, SizeChangeClearsOnlyWhereAsked) {
  const Ino file = Privileged("a", 06755);
  AttributeChange change;
  change.size = 0;
  EXPECT_EQ(ModeAfter(file, change), 06755u);
  EXPECT_TRUE(HasCapability(file));
  change.clear_privileges = true;
  EXPECT_EQ(ModeAfter(file, change), 0755u);
  EXPECT_FALSE(HasCapability(file));
}

TEST_F(AttributesTest, ChmodByAStrangerToTheGroupDropsSetgid) {
  const Ino file = File(kRootIno, "f");
  AttributeChange change;
  change.mode = 02755;
  Caller caller;
  caller.uid = 5;
  caller.gid = 50;
  EXPECT_EQ(ModeAfter(file, change, caller), 0755u);
  caller.groups = [] { return std::vector<uint32_t>{0}; };
  EXPECT_EQ(ModeAfter(file, change, caller), 02755u);
  EXPECT_EQ(ModeAfter(file, change, {}), 02755u);
}

TEST_F(AttributesTest, TouchNeverGoesBack) {
  const Ino file = File(kRootIno, "f");
  SetOldTimes(file);
  ASSERT_TRUE(ns_->Touch(file, 100));
  ASSERT_TRUE(ns_->Touch(file, 50));
  EXPECT_EQ(Stat(file).ctime, 100);
  EXPECT_EQ(CodeOf(ns_->Touch(4711, 1)), ESTALE);
}

}  // namespace
}  // namespace dedupfs
