// Check finds each kind of damage, and nothing in a whole tree.
#include <gmock/gmock.h>

#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class CheckTest : public NamespaceFixture {
 protected:
  void SetUp() override {
    NamespaceFixture::SetUp();
    dir_ = Dir(kRootIno, "d");
    sub_ = Dir(dir_, "s");
    file_ = File(sub_, "f");
    ASSERT_TRUE(ns_->Link(file_, dir_, "g"));
    ASSERT_TRUE(ns_->SetXattr(file_, "user.big", std::string(3000, 'x'), 0, {}));
    ASSERT_THAT(Problems(), IsEmpty());
  }
  // A problem of inode `ino` whose text has `text` in it.
  void ExpectProblem(Ino ino, const std::string& text) {
    EXPECT_THAT(Problems(), Contains(testing::AllOf(testing::StartsWith(std::to_string(ino) + ": "),
                                                    HasSubstr(text))));
  }
  Ino dir_ = 0, sub_ = 0, file_ = 0;
};

TEST_F(CheckTest, EntryThatNamesNothing) {
  File(dir_, "x");
  DeleteRow(Family::kInode, InodeKey(ns_->Lookup(dir_, "x")->ino));
  ExpectProblem(dir_, "which is not there");
}

TEST_F(CheckTest, WrongLinkCounts) {
  InodeRecord record = Record(file_);
  record.nlink = 3;
  PutRecord(file_, record);
  ExpectProblem(file_, "has 2 entries, should have 3");
  record = Record(dir_);
  record.nlink = 4;
  PutRecord(dir_, record);
  ExpectProblem(dir_, "nlink is 4, should be 3");
}

TEST_F(CheckTest, UnattachedInode) {
  InodeRecord record = Record(file_);
  record.xattrs.clear();
  record.nlink = 1;
  PutRecord(5000, record);
  ExpectProblem(5000, "has 0 entries");
  record.nlink = 0;
  PutRecord(5000, record);
  ExpectProblem(5000, "no orphan");
  PutRow(Family::kOrphan, InodeKey(5000), "");
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(CheckTest, WrongEntriesCount) {
  InodeRecord record = Record(sub_);
  record.entries = 0;
  PutRecord(sub_, record);
  ExpectProblem(sub_, "there are 1");
}

TEST_F(CheckTest, Loop) {
  // d/s stays, but d itself is moved below s by hand.
  const uint64_t cookie = Record(dir_).cookie;
  DeleteRow(Family::kDentry, DentryKey(kRootIno, cookie));
  PutRow(Family::kDentry, DentryKey(sub_, cookie), EncodeDentry({dir_, S_IFDIR, "d"}));
  InodeRecord root = Record(kRootIno), dir = Record(dir_), sub = Record(sub_);
  root.entries = 0;
  root.nlink = 2;
  dir.parent = sub_;
  ++sub.entries;
  ++sub.nlink;
  PutRecord(kRootIno, root);
  PutRecord(dir_, dir);
  PutRecord(sub_, sub);
  ExpectProblem(dir_, "inside itself");
}

TEST_F(CheckTest, WrongParent) {
  InodeRecord record = Record(sub_);
  record.parent = kRootIno;
  PutRecord(sub_, record);
  ExpectProblem(sub_, "parent of the directory is wrong");
}

TEST_F(CheckTest, EntryUnderAnotherHashOrType) {
  PutRow(Family::kDentry, DentryKey(sub_, Record(sub_).cookie + 1024),
         EncodeDentry({file_, S_IFREG, "h"}));
  ExpectProblem(sub_, "hash of another name");
  PutRow(Family::kDentry, DentryKey(sub_, Record(sub_).cookie + 1024),
         EncodeDentry({file_, S_IFIFO, "h"}));
  ExpectProblem(file_, "another file type");
}

TEST_F(CheckTest, OneNameTwice) {
  const Dentries dentries(*kv_, SipNameHash(kKey), false);
  PutRow(Family::kDentry, DentryKey(sub_, dentries.FirstCookie("f") + 9),
         EncodeDentry({file_, S_IFREG, "f"}));
  ExpectProblem(sub_, "two entries of one name");
}

TEST_F(CheckTest, XattrRowsMissingAndLeftOver) {
  DeleteRow(Family::kXattr, XattrKey(file_, "user.big"));
  ExpectProblem(file_, "xattr is missing");
  PutRow(Family::kXattr, XattrKey(file_, "user.big"), "short");
  ExpectProblem(file_, "another size");
  PutRow(Family::kXattr, XattrKey(file_, "user.zzz"), "x");
  ExpectProblem(file_, "no inode names");
  PutRow(Family::kXattr, XattrKey(9999, "user.a"), "x");
  ExpectProblem(9999, "no inode names");
}

TEST_F(CheckTest, RowsThatCannotBeParsed) {
  PutRow(Family::kInode, InodeKey(file_), "junk");
  ExpectProblem(file_, "cannot be parsed");
  PutRow(Family::kDentry, DentryKey(sub_, Record(sub_).cookie), "junk");
  ExpectProblem(sub_, "cannot be parsed");
  PutRow(Family::kOrphan, InodeKey(8888), "");
  ExpectProblem(8888, "without an inode");
  PutRow(Family::kDentry, DentryKey(7777, 1024), EncodeDentry({file_, S_IFREG, "h"}));
  ExpectProblem(7777, "directory that is not there");
}

}  // namespace
}  // namespace dedupfs
