// POSIX ACLs: who gets what, the mask, chmod, and default ACLs against umask.
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

struct Entry {
  uint16_t tag;
  uint16_t bits;
  uint32_t id = ACL_UNDEFINED_ID;
};

template <typename T>
void Append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string Bytes(std::initializer_list<Entry> entries) {
  std::string out;
  Append(out, posix_acl_xattr_header{.a_version = POSIX_ACL_XATTR_VERSION});
  for (const Entry& e : entries) {
    Append(out, posix_acl_xattr_entry{.e_tag = e.tag, .e_perm = e.bits, .e_id = e.id});
  }
  return out;
}

class AclTest : public PosixTest {
 protected:
  int Set(std::string_view name, const char* which, const std::string& bytes) {
    return Error(::setxattr(At(name).c_str(), which, bytes.data(), bytes.size(), 0));
  }
  std::string Get(std::string_view name, const char* which) {
    std::string out(1024, '\0');
    const ssize_t got = ::getxattr(At(name).c_str(), which, out.data(), out.size());
    out.resize(got < 0 ? 0 : got);
    return out;
  }
  int OpenAs(const User& user, std::string_view name, int flags) {
    return As(user, [&] { return Error(::open(At(name).c_str(), flags | O_CLOEXEC)); });
  }
};
POSIX_RULES(acl, AclTest);

const std::string& StrangerMayRead() {
  static const std::string acl = Bytes({{ACL_USER_OBJ, 6},
                                        {ACL_USER, 6, kStranger},
                                        {ACL_GROUP_OBJ, 0},
                                        {ACL_MASK, 4},
                                        {ACL_OTHER, 0}});
  return acl;
}

TEST_P(AclTest, NamedUserGetsWhatTheMaskLeaves) {
  MakeFile("file", "x", 0600);
  ASSERT_EQ(OpenAs(Stranger(), "file", O_RDONLY), EACCES);
  ASSERT_EQ(Set("file", kAccess, StrangerMayRead()), 0);
  EXPECT_EQ(OpenAs(Stranger(), "file", O_RDONLY), 0);
  EXPECT_EQ(OpenAs(Stranger(), "file", O_WRONLY), EACCES);
  EXPECT_EQ(OpenAs(Member(), "file", O_RDONLY), EACCES);
  EXPECT_EQ(Mode("file"), 0640U);  // the group's bits show the mask
  EXPECT_EQ(Get("file", kAccess), StrangerMayRead());
}

TEST_P(AclTest, NamedGroupGetsIn) {
  MakeFile("file", "x", 0600);
  ASSERT_EQ(Set("file", kAccess,
                Bytes({{ACL_USER_OBJ, 6},
                       {ACL_GROUP_OBJ, 0},
                       {ACL_GROUP, 6, kGroup},
                       {ACL_MASK, 7},
                       {ACL_OTHER, 0}})),
            0);
  EXPECT_EQ(OpenAs(Member(), "file", O_RDWR), 0);
  EXPECT_EQ(OpenAs(Stranger(), "file", O_RDONLY), EACCES);
}

TEST_P(AclTest, ChmodChangesTheMask) {
  MakeFile("file", "x", 0600);
  ASSERT_EQ(Set("file", kAccess, StrangerMayRead()), 0);
  Chmod("file", 0600);
  EXPECT_EQ(OpenAs(Stranger(), "file", O_RDONLY), EACCES);
  Chmod("file", 0660);
  EXPECT_EQ(OpenAs(Stranger(), "file", O_RDWR), 0);
  EXPECT_EQ(Get("file", kAccess), Bytes({{ACL_USER_OBJ, 6},
                                         {ACL_USER, 6, kStranger},
                                         {ACL_GROUP_OBJ, 0},
                                         {ACL_MASK, 6},
                                         {ACL_OTHER, 0}}));
}

TEST_P(AclTest, MinimalAclIsTheModeAlone) {
  MakeFile("file", "x", 0600);
  ASSERT_EQ(Set("file", kAccess, Bytes({{ACL_USER_OBJ, 7}, {ACL_GROUP_OBJ, 5}, {ACL_OTHER, 1}})),
            0);
  EXPECT_EQ(Mode("file"), 0751U);
  EXPECT_EQ(Error(::getxattr(At("file").c_str(), kAccess, nullptr, 0)), ENODATA);
}

TEST_P(AclTest, RemovingTheAclLeavesTheMode) {
  MakeFile("file", "x", 0600);
  ASSERT_EQ(Set("file", kAccess, StrangerMayRead()), 0);
  ASSERT_EQ(Error(::removexattr(At("file").c_str(), kAccess)), 0);
  EXPECT_EQ(Mode("file"), 0640U);
  EXPECT_EQ(OpenAs(Stranger(), "file", O_RDONLY), EACCES);
}

TEST_P(AclTest, BrokenAclsAreRefused) {
  MakeFile("file");
  EXPECT_EQ(Set("file", kAccess, "rubbish"), EOPNOTSUPP);  // of another version
  EXPECT_EQ(Set("file", kAccess, StrangerMayRead() + "x"), EINVAL);
  EXPECT_EQ(Set("file", kAccess, Bytes({{ACL_USER_OBJ, 7}})), EINVAL);
  // Named entries need a mask.
  EXPECT_EQ(Set("file", kAccess,
                Bytes({{ACL_USER_OBJ, 7}, {ACL_USER, 7, 1}, {ACL_GROUP_OBJ, 7}, {ACL_OTHER, 7}})),
            EINVAL);
  EXPECT_EQ(Set("file", kDefault, StrangerMayRead()), EACCES);  // of what is no directory
}

TEST_P(AclTest, OnlyTheOwnerSetsAcls) {
  MakeFile("file", "x", 0666);
  Chown("file", kOwner, kGroup);
  const auto set = [&] { return Set("file", kAccess, StrangerMayRead()); };
  EXPECT_EQ(As(Stranger(), set), EPERM);
  EXPECT_EQ(As(Owner(), set), 0);
}

TEST_P(AclTest, SetfaclOutsideTheGroupDropsSetgid) {
  MakeFile("file");
  Chown("file", kOwner, kGroup);
  Chmod("file", 02755);
  const User elsewhere = {.uid = kOwner, .gid = kOtherGroup};
  EXPECT_EQ(As(elsewhere, [&] { return Set("file", kAccess, StrangerMayRead()); }), 0);
  EXPECT_EQ(Mode("file"), 0640U);
}

TEST_P(AclTest, DefaultAclIsInheritedInPlaceOfTheUmask) {
  MakeDirectory("dir");
  const std::string acl = Bytes({{ACL_USER_OBJ, 7},
                                 {ACL_USER, 7, kStranger},
                                 {ACL_GROUP_OBJ, 5},
                                 {ACL_MASK, 7},
                                 {ACL_OTHER, 0}});
  ASSERT_EQ(Set("dir", kDefault, acl), 0);
  ::umask(077);
  const int fd = ::open(At("dir/file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0664);
  ASSERT_GE(fd, 0);
  ::close(fd);
  ASSERT_EQ(Error(::mkdir(At("dir/sub").c_str(), 0777)), 0);
  ASSERT_EQ(Error(::mkfifo(At("dir/fifo").c_str(), 0666)), 0);
  EXPECT_EQ(Mode("dir/file"), 0660U);
  EXPECT_EQ(Mode("dir/fifo"), 0660U);
  EXPECT_EQ(Mode("dir/sub"), 0770U);
  EXPECT_EQ(Get("dir/sub", kDefault), acl);
  EXPECT_EQ(Get("dir/sub", kAccess), acl);
  EXPECT_EQ(OpenAs(Stranger(), "dir/file", O_RDWR), 0);
}

TEST_P(AclTest, DefaultAclDoesNotOpenTheDirectoryItself) {
  MakeDirectory("dir", 0700);
  ASSERT_EQ(Set("dir", kDefault, StrangerMayRead()), 0);
  EXPECT_EQ(Mode("dir"), 0700U);
  EXPECT_EQ(OpenAs(Stranger(), "dir", O_RDONLY | O_DIRECTORY), EACCES);
  ASSERT_EQ(Error(::removexattr(At("dir").c_str(), kDefault)), 0);
  MakeFile("dir/file");
  EXPECT_EQ(Error(::getxattr(At("dir/file").c_str(), kAccess, nullptr, 0)), ENODATA);
}

TEST_P(AclTest, AclsOfSymlinksAreNotSupported) {
  ASSERT_EQ(Error(::symlink("nowhere", At("link").c_str())), 0);
  const std::string acl = StrangerMayRead();
  EXPECT_EQ(Error(::lsetxattr(At("link").c_str(), kAccess, acl.data(), acl.size(), 0)), EOPNOTSUPP);
}

}  // namespace
}  // namespace dedupfs
