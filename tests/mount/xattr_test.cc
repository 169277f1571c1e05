// Extended attributes and POSIX ACLs.
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

using XattrTest = MountTest;

constexpr const char* kAccessAcl = "system.posix_acl_access";
constexpr const char* kDefaultAcl = "system.posix_acl_default";

// As in linux/posix_acl_xattr.h, little-endian.
struct AclEntry {
  uint16_t tag;
  uint16_t permissions;
  uint32_t id;
};
constexpr uint32_t kAclVersion = 2;
constexpr uint32_t kNoId = UINT32_MAX;
constexpr uint16_t kUserObject = 1;
constexpr uint16_t kUser = 2;
constexpr uint16_t kGroupObject = 4;
constexpr uint16_t kMask = 16;
constexpr uint16_t kOther = 32;

std::string Acl(const std::vector<AclEntry>& entries) {
  std::string out(sizeof(kAclVersion), '\0');
  std::memcpy(out.data(), &kAclVersion, sizeof(kAclVersion));
  for (const AclEntry& entry : entries) {
    out.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  }
  return out;
}

std::string AclWithUser(uint32_t uid, uint16_t permissions, uint16_t mask) {
  return Acl({{kUserObject, 6, kNoId},
              {kUser, permissions, uid},
              {kGroupObject, 0, kNoId},
              {kMask, mask, kNoId},
              {kOther, 0, kNoId}});
}

std::string Get(const std::string& path, const char* name) {
  std::array<char, 70'000> buffer;
  const ssize_t size = ::getxattr(path.c_str(), name, buffer.data(), buffer.size());
  EXPECT_GE(size, 0) << name << ": " << strerror(errno);
  return size < 0 ? std::string() : std::string(buffer.data(), static_cast<size_t>(size));
}

int Set(const std::string& path, const char* name, const std::string& value, int flags = 0) {
  return ::setxattr(path.c_str(), name, value.data(), value.size(), flags);
}

TEST_F(XattrTest, ValuesAreKeptOverARemount) {
  WriteFile(At("file"), "x");
  const std::string large = TestBytes(60'000, 21);
  ASSERT_EQ(Set(At("file"), "user.small", "value"), 0);
  ASSERT_EQ(Set(At("file"), "user.large", large), 0) << strerror(errno);
  ASSERT_EQ(Set(At("file"), "user.empty", ""), 0);
  ASSERT_EQ(Set(At("file"), "trusted.admin", "root's"), 0);
  Remount();
  EXPECT_EQ(Get(At("file"), "user.small"), "value");
  EXPECT_TRUE(Get(At("file"), "user.large") == large);
  EXPECT_EQ(Get(At("file"), "user.empty"), "");
  EXPECT_EQ(Get(At("file"), "trusted.admin"), "root's");
}

TEST_F(XattrTest, ListHasEveryNameOnce) {
  WriteFile(At("file"), "x");
  ASSERT_EQ(Set(At("file"), "user.b", "1"), 0);
  ASSERT_EQ(Set(At("file"), "user.a", "2"), 0);
  std::array<char, 1024> buffer;
  const ssize_t size = ::listxattr(At("file").c_str(), buffer.data(), buffer.size());
  ASSERT_EQ(size, 14);
  EXPECT_EQ(::listxattr(At("file").c_str(), nullptr, 0), 14);
  const std::string list(buffer.data(), 14);
  EXPECT_NE(list.find(std::string("user.a\0", 7)), std::string::npos);
  EXPECT_NE(list.find(std::string("user.b\0", 7)), std::string::npos);
  EXPECT_EQ(::listxattr(At("file").c_str(), buffer.data(), 5), -1);
  EXPECT_EQ(errno, ERANGE);
}

TEST_F(XattrTest, FlagsAndAbsenceGiveTheirErrors) {
  WriteFile(At("file"), "x");
  EXPECT_EQ(Set(At("file"), "user.a", "1", XATTR_REPLACE), -1);
  EXPECT_EQ(errno, ENODATA);
  ASSERT_EQ(Set(At("file"), "user.a", "1", XATTR_CREATE), 0);
  EXPECT_EQ(Set(At("file"), "user.a", "1", XATTR_CREATE), -1);
  EXPECT_EQ(errno, EEXIST);
  std::array<char, 8> buffer;
  EXPECT_EQ(::getxattr(At("file").c_str(), "user.b", buffer.data(), buffer.size()), -1);
  EXPECT_EQ(errno, ENODATA);
  ASSERT_EQ(::removexattr(At("file").c_str(), "user.a"), 0);
  EXPECT_EQ(::removexattr(At("file").c_str(), "user.a"), -1);
  EXPECT_EQ(errno, ENODATA);
}

TEST_F(XattrTest, AccessAclDecidesAndShowsInTheMode) {
  constexpr uid_t kReader = 4242;
  WriteFile(At("file"), "secret");
  ASSERT_EQ(::chmod(At("file").c_str(), 0600), 0);
  const auto can_read = [&] {
    return InChild(kReader, kReader,
                   [&] { return ::access(At("file").c_str(), R_OK) == 0 ? 1 : 0; });
  };
  EXPECT_EQ(can_read(), 0);
  ASSERT_EQ(Set(At("file"), kAccessAcl, AclWithUser(kReader, 4, 4)), 0) << strerror(errno);
  EXPECT_EQ(can_read(), 1);
  EXPECT_EQ(StatOf(At("file")).st_mode & 0777, 0640U);  // the group bits show the mask
  ASSERT_EQ(::chmod(At("file").c_str(), 0600), 0);      // which chmod sets
  EXPECT_EQ(can_read(), 0);
  Remount();
  EXPECT_EQ(Get(At("file"), kAccessAcl), AclWithUser(kReader, 4, 0));
}

TEST_F(XattrTest, DefaultAclIsInheritedInPlaceOfTheUmask) {
  constexpr uint32_t kUid = 4242;
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0755), 0);
  const std::string acl = AclWithUser(kUid, 7, 7);
  ASSERT_EQ(Set(At("dir"), kDefaultAcl, acl), 0) << strerror(errno);
  const mode_t old_umask = ::umask(077);
  WriteFile(At("dir/file"), "x");
  const int made = ::mkdir(At("dir/sub").c_str(), 0777);
  ::umask(old_umask);
  ASSERT_EQ(made, 0);
  EXPECT_EQ(Get(At("dir/file"), kAccessAcl), AclWithUser(kUid, 7, 4));  // mode 0644 was asked for
  EXPECT_EQ(StatOf(At("dir/file")).st_mode & 0777, 0640U);
  EXPECT_EQ(Get(At("dir/sub"), kDefaultAcl), acl);
}

TEST_F(XattrTest, UmaskHoldsWithoutADefaultAcl) {
  const mode_t old_umask = ::umask(027);
  WriteFile(At("file"), "x");
  const int made = ::mkdir(At("dir").c_str(), 0777);
  ::umask(old_umask);
  ASSERT_EQ(made, 0);
  EXPECT_EQ(StatOf(At("file")).st_mode & 0777, 0640U);
  EXPECT_EQ(StatOf(At("dir")).st_mode & 0777, 0750U);
}

TEST_F(XattrTest, DirectoriesTellHowANameIsStoredWhateverItsCase) {
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0755), 0);
  WriteFile(At("dir/Übung.TXT"), "x");
  const std::string with_nul("Übung.TXT", sizeof("Übung.TXT"));  // Samba asks for a C string
  EXPECT_EQ(Get(At("dir"), "glusterfs.get_real_filename:übung.txt"), with_nul);
  EXPECT_EQ(Get(At("dir"), "user.glusterfs.get_real_filename:ÜBUNG.txt"), with_nul);
  std::array<char, 64> buffer;
  EXPECT_EQ(::getxattr(At("dir").c_str(), "glusterfs.get_real_filename:none", buffer.data(),
                       buffer.size()),
            -1);
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(
      ::getxattr(At("dir").c_str(), "glusterfs.get_real_filename:übung.txt", buffer.data(), 3), -1);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(Set(At("dir"), "user.glusterfs.get_real_filename:x", "y"), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::listxattr(At("dir").c_str(), nullptr, 0), 0);
}

}  // namespace
}  // namespace dedupfs
