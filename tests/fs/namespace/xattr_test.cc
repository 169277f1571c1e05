// Extended attributes and the ACLs among them.
#include <sys/xattr.h>

#include "fs/namespace/posix_acl.h"
#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class XattrTest : public NamespaceFixture {
 protected:
  void TearDown() override { EXPECT_TRUE(Problems().empty()); }
};

// u::rwx u:10:group_perm g::r-x m::MASK o::OTHER
std::string NamedAcl(uint16_t mask, uint16_t other) {
  return EncodeAcl({{AclTag::kUserObj, 7, 0},
                    {AclTag::kUser, 7, 10},
                    {AclTag::kGroupObj, 5, 0},
                    {AclTag::kMask, mask, 0},
                    {AclTag::kOther, other, 0}});
}

TEST_F(XattrTest, ValuesOfEverySizeComeBack) {
  const Ino file = File(kRootIno, "f");
  for (const size_t size : {0, 1, 255, 256, 257, 1024, 65536}) {
    const std::string name = "user." + std::to_string(size);
    ASSERT_TRUE(ns_->SetXattr(file, name, std::string(size, 'v'), 0, {})) << size;
  }
  Reopen();
  for (const size_t size : {0, 1, 255, 256, 257, 1024, 65536}) {
    EXPECT_EQ(ns_->GetXattr(file, "user." + std::to_string(size)).value_or("?"),
              std::string(size, 'v'));
  }
  EXPECT_EQ(ns_->ListXattrs(file)->size(), 7u);
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.x", std::string(65537, 'v'), 0, {})), E2BIG);
}

TEST_F(XattrTest, AValueMovesBetweenRecordAndRow) {
  const Ino file = File(kRootIno, "f");
  for (const size_t size : {10, 5000, 20, 300, 0}) {
    ASSERT_TRUE(ns_->SetXattr(file, "user.x", std::string(size, 'v'), 0, {}));
    EXPECT_EQ(ns_->GetXattr(file, "user.x")->size(), size);
    EXPECT_EQ(kv_->Iterate(Family::kXattr, {}, {})->Valid(), size > kMaxInlineXattrBytes);
    EXPECT_TRUE(Problems().empty());
  }
}

TEST_F(XattrTest, TheRecordHoldsAtMost1024Bytes) {
  const Ino file = File(kRootIno, "f");
  for (char c = 'a'; c <= 'h'; ++c) {
    ASSERT_TRUE(ns_->SetXattr(file, std::string("user.") + c, std::string(250, c), 0, {}));
  }
  EXPECT_TRUE(kv_->Iterate(Family::kXattr, {}, {})->Valid());
  for (char c = 'a'; c <= 'h'; ++c) {
    EXPECT_EQ(ns_->GetXattr(file, std::string("user.") + c).value_or(""), std::string(250, c));
  }
}

TEST_F(XattrTest, NamesOfNoNamespaceAreNotSupported) {
  const Ino file = File(kRootIno, "f");
  for (const char* const name : {"a", "nonsense.a", "system.a", "User.a"}) {
    EXPECT_EQ(CodeOf(ns_->SetXattr(file, name, "v", 0, {})), EOPNOTSUPP) << name;
    EXPECT_EQ(CodeOf(ns_->GetXattr(file, name)), EOPNOTSUPP) << name;
    EXPECT_EQ(CodeOf(ns_->RemoveXattr(file, name)), EOPNOTSUPP) << name;
  }
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.", "v", 0, {})), EINVAL);
  EXPECT_TRUE(ns_->ListXattrs(file)->empty());
}

TEST_F(XattrTest, FlagsDecideBetweenNewAndOld) {
  const Ino file = File(kRootIno, "f");
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.x", "1", XATTR_REPLACE, {})), ENODATA);
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.x", "1", XATTR_CREATE, {})), 0);
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.x", "2", XATTR_CREATE, {})), EEXIST);
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.x", "3", XATTR_REPLACE, {})), 0);
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, "user.x", "3", 64, {})), EINVAL);
  EXPECT_EQ(ns_->GetXattr(file, "user.x").value_or(""), "3");
}

TEST_F(XattrTest, MissingNamesAreEnodata) {
  const Ino file = File(kRootIno, "f");
  EXPECT_EQ(CodeOf(ns_->GetXattr(file, "user.x")), ENODATA);
  EXPECT_EQ(CodeOf(ns_->RemoveXattr(file, "user.x")), ENODATA);
  EXPECT_EQ(CodeOf(ns_->RemoveXattr(file, kAccessAclName)), 0);
  EXPECT_EQ(CodeOf(ns_->GetXattr(file, "")), ERANGE);
  EXPECT_EQ(CodeOf(ns_->GetXattr(file, std::string(256, 'x'))), ERANGE);
  EXPECT_EQ(CodeOf(ns_->GetXattr(4711, "user.x")), ESTALE);
}

TEST_F(XattrTest, NamesOverTheListLimitAreEnospc) {
  const Ino file = File(kRootIno, "f");
  int set = 0, code = 0;
  while (code == 0 && set < 300) {
    std::string name = std::to_string(set);
    name = "user." + std::string(250 - name.size(), 'n') + name;
    code = CodeOf(ns_->SetXattr(file, name, "v", 0, {}));
    if (code == 0) ++set;
  }
  EXPECT_EQ(code, ENOSPC);
  EXPECT_EQ(set, 256);
}

TEST_F(XattrTest, EveryChangeSetsCtime) {
  const Ino file = File(kRootIno, "f");
  SetOldTimes(file);
  ASSERT_TRUE(ns_->SetXattr(file, "user.x", "1", 0, {}));
  EXPECT_GT(Stat(file).ctime, 1);
  SetOldTimes(file);
  ASSERT_TRUE(ns_->RemoveXattr(file, "user.x"));
  EXPECT_GT(Stat(file).ctime, 1);
}

TEST_F(XattrTest, AccessAclSetsTheMode) {
  const Ino file = File(kRootIno, "f");
  ASSERT_TRUE(ns_->SetXattr(file, kAccessAclName, NamedAcl(6, 1), 0, {}));
  EXPECT_EQ(Stat(file).mode & 07777u, 0761u);
  EXPECT_EQ(ns_->GetXattr(file, kAccessAclName).value_or(""), NamedAcl(6, 1));
}

TEST_F(XattrTest, ChmodKeepsTheMaskInStep) {
  const Ino file = File(kRootIno, "f");
  ASSERT_TRUE(ns_->SetXattr(file, kAccessAclName, NamedAcl(6, 1), 0, {}));
  AttributeChange change;
  change.mode = 0740;
  ASSERT_TRUE(ns_->SetAttributes(file, change, {}));
  EXPECT_EQ(ns_->GetXattr(file, kAccessAclName).value_or(""), NamedAcl(4, 0));
}

TEST_F(XattrTest, AnAclThatTheModeSaysIsNotKept) {
  const Ino file = File(kRootIno, "f");
  const std::string minimal =
      EncodeAcl({{AclTag::kUserObj, 6, 0}, {AclTag::kGroupObj, 4, 0}, {AclTag::kOther, 0, 0}});
  ASSERT_TRUE(ns_->SetXattr(file, kAccessAclName, minimal, 0, {}));
  EXPECT_EQ(Stat(file).mode & 07777u, 0640u);
  EXPECT_TRUE(ns_->ListXattrs(file)->empty());
}

TEST_F(XattrTest, SetfaclByAStrangerToTheGroupDropsSetgid) {
  const Ino file = File(kRootIno, "f");
  AttributeChange change;
  change.mode = 02755;
  ASSERT_TRUE(ns_->SetAttributes(file, change, {}));
  ASSERT_TRUE(ns_->SetXattr(file, kAccessAclName, NamedAcl(5, 5), 0, {}));
  EXPECT_EQ(Stat(file).mode & 07777u, 02755u);
  Caller stranger;
  stranger.uid = 5;
  stranger.gid = 50;
  ASSERT_TRUE(ns_->SetXattr(file, kAccessAclName, NamedAcl(5, 5), 0, stranger));
  EXPECT_EQ(Stat(file).mode & 07777u, 0755u);
}

TEST_F(XattrTest, DefaultAclIsInheritedInPlaceOfTheUmask) {
  const Ino dir = Dir(kRootIno, "d");
  ASSERT_TRUE(ns_->SetXattr(dir, kDefaultAclName, NamedAcl(7, 5), 0, {}));
  Caller caller;
  caller.umask = 077;
  const auto file = Make(dir, "f", S_IFREG | 0664, caller);
  EXPECT_EQ(file->mode & 07777u, 0664u);
  EXPECT_EQ(ns_->GetXattr(file->ino, kAccessAclName).value_or(""),
            EncodeAcl({{AclTag::kUserObj, 6, 0},
                       {AclTag::kUser, 7, 10},
                       {AclTag::kGroupObj, 5, 0},
                       {AclTag::kMask, 6, 0},
                       {AclTag::kOther, 4, 0}}));
  EXPECT_EQ(CodeOf(ns_->GetXattr(file->ino, kDefaultAclName)), ENODATA);
  const Ino sub = Dir(dir, "s");
  EXPECT_EQ(ns_->GetXattr(sub, kDefaultAclName).value_or(""), NamedAcl(7, 5));
}

TEST_F(XattrTest, AclsAreRefusedWhereTheyMeanNothing) {
  const Ino file = File(kRootIno, "f");
  const Ino link = Must(Make(kRootIno, "l", S_IFLNK));
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, kDefaultAclName, NamedAcl(7, 5), 0, {})), EACCES);
  EXPECT_EQ(CodeOf(ns_->SetXattr(link, kAccessAclName, NamedAcl(7, 5), 0, {})), EOPNOTSUPP);
  EXPECT_EQ(CodeOf(ns_->SetXattr(file, kAccessAclName, "junk", 0, {})), EINVAL);
}

}  // namespace
}  // namespace dedupfs
