// Extended attributes: namespaces and who may use them, sizes, flags, lists.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <set>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class XattrTest : public PosixTest {
 protected:
  int Set(std::string_view name, const std::string& xattr, std::string_view value, int flags = 0) {
    return Error(::lsetxattr(At(name).c_str(), xattr.c_str(), value.data(), value.size(), flags));
  }
  int Remove(std::string_view name, const std::string& xattr) {
    return Error(::lremovexattr(At(name).c_str(), xattr.c_str()));
  }
  int GetError(std::string_view name, const std::string& xattr) {
    return Error(::lgetxattr(At(name).c_str(), xattr.c_str(), nullptr, 0));
  }
  std::string Get(std::string_view name, const std::string& xattr) {
    std::string out(65'536, '\0');
    const ssize_t got = ::lgetxattr(At(name).c_str(), xattr.c_str(), out.data(), out.size());
    EXPECT_GE(got, 0) << xattr;
    out.resize(got < 0 ? 0 : got);
    return out;
  }
};
POSIX_RULES(xattr, XattrTest);

TEST_P(XattrTest, ValuesAreKeptAsTheyAre) {
  MakeFile("file");
  const std::string binary("a\0b\xff", 4);
  ASSERT_EQ(Set("file", "user.binary", binary), 0);
  ASSERT_EQ(Set("file", "user.empty", ""), 0);
  EXPECT_EQ(Get("file", "user.binary"), binary);
  EXPECT_EQ(Get("file", "user.empty"), "");
  ASSERT_EQ(Set("file", "user.binary", "short"), 0);
  EXPECT_EQ(Get("file", "user.binary"), "short");
  ASSERT_EQ(Remove("file", "user.binary"), 0);
  EXPECT_EQ(GetError("file", "user.binary"), ENODATA);
  EXPECT_EQ(Remove("file", "user.binary"), ENODATA);
}

TEST_P(XattrTest, CreateAndReplaceAskForAbsenceAndPresence) {
  MakeFile("file");
  EXPECT_EQ(Set("file", "user.a", "1", XATTR_REPLACE), ENODATA);
  EXPECT_EQ(Set("file", "user.a", "1", XATTR_CREATE), 0);
  EXPECT_EQ(Set("file", "user.a", "2", XATTR_CREATE), EEXIST);
  EXPECT_EQ(Get("file", "user.a"), "1");
  EXPECT_EQ(Set("file", "user.a", "3", XATTR_REPLACE), 0);
  EXPECT_EQ(Get("file", "user.a"), "3");
  EXPECT_EQ(Set("file", "user.a", "4", 8), EINVAL);
}

TEST_P(XattrTest, SizesAreToldAndTooSmallBuffersRefused) {
  MakeFile("file");
  const std::string path = At("file");
  ASSERT_EQ(Set("file", "user.a", "12345"), 0);
  char few[4] = {};
  EXPECT_EQ(::getxattr(path.c_str(), "user.a", nullptr, 0), 5);
  EXPECT_EQ(Error(::getxattr(path.c_str(), "user.a", few, sizeof(few))), ERANGE);
  EXPECT_EQ(::listxattr(path.c_str(), nullptr, 0), 7);
  EXPECT_EQ(Error(::listxattr(path.c_str(), few, sizeof(few))), ERANGE);
}

TEST_P(XattrTest, NoXattrsAreAnEmptyList) {
  MakeFile("file");
  EXPECT_EQ(::listxattr(At("file").c_str(), nullptr, 0), 0);
}

TEST_P(XattrTest, ListHasEachNameOnce) {
  MakeFile("file");
  std::set<std::string> expected;
  for (int i = 10; i < 60; ++i) {
    const std::string name = "user.name" + std::to_string(i);
    ASSERT_EQ(Set("file", name, std::string(i, 'v')), 0);
    expected.insert(name);
  }
  std::string list(65'536, '\0');
  const ssize_t got = ::listxattr(At("file").c_str(), list.data(), list.size());
  ASSERT_GT(got, 0);
  std::set<std::string> listed;
  size_t names = 0;
  for (ssize_t at = 0; at < got; ++names) {
    const std::string name = list.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    listed.insert(name);
  }
  EXPECT_EQ(listed, expected);
  EXPECT_EQ(names, expected.size());
}

TEST_P(XattrTest, ValueOf64KibibytesIsTheLargest) {
  MakeFile("file");
  const std::string largest(65'536, 'v');
  ASSERT_EQ(Set("file", "user.large", largest), 0);
  EXPECT_TRUE(Get("file", "user.large") == largest);
  EXPECT_EQ(Set("file", "user.large", largest + "v"), E2BIG);
  EXPECT_TRUE(Get("file", "user.large") == largest);
}

TEST_P(XattrTest, NameOf255BytesIsTheLongest) {
  MakeFile("file");
  const std::string longest = "user." + std::string(250, 'n');
  EXPECT_EQ(Set("file", longest, "v"), 0);
  EXPECT_EQ(Get("file", longest), "v");
  EXPECT_EQ(Set("file", longest + "n", "v"), ERANGE);
}

TEST_P(XattrTest, UserOnesAreForFilesAndDirectories) {
  MakeDirectory("dir");
  ASSERT_EQ(Error(::symlink("dir", At("link").c_str())), 0);
  ASSERT_EQ(Error(::mkfifo(At("fifo").c_str(), 0666)), 0);
  EXPECT_EQ(Set("dir", "user.a", "v"), 0);
  EXPECT_EQ(Set("link", "user.a", "v"), EPERM);
  EXPECT_EQ(Set("fifo", "user.a", "v"), EPERM);
  EXPECT_EQ(GetError("link", "user.a"), ENODATA);
  EXPECT_EQ(Set("link", "trusted.a", "v"), 0);
  EXPECT_EQ(Get("link", "trusted.a"), "v");
}

TEST_P(XattrTest, UserOnesNeedThePermissionOfTheContent) {
  MakeFile("file", "x", 0644);
  ASSERT_EQ(Set("file", "user.a", "v"), 0);
  EXPECT_EQ(As(Stranger(), [&] { return Set("file", "user.a", "w"); }), EACCES);
  EXPECT_EQ(As(Stranger(), [&] { return Remove("file", "user.a"); }), EACCES);
  EXPECT_EQ(As(Stranger(), [&] { return GetError("file", "user.a"); }), 0);
  Chmod("file", 0600);
  EXPECT_EQ(As(Stranger(), [&] { return GetError("file", "user.a"); }), EACCES);
}

TEST_P(XattrTest, UserOnesOfAStickyDirectoryAreItsOwners) {
  MakeDirectory("dir", 01777);
  Chown("dir", kOwner, kGroup);
  Chmod("dir", 01777);
  EXPECT_EQ(As(Stranger(), [&] { return Set("dir", "user.a", "v"); }), EPERM);
  EXPECT_EQ(As(Owner(), [&] { return Set("dir", "user.a", "v"); }), 0);
}

TEST_P(XattrTest, TrustedOnesAreRootsAlone) {
  MakeFile("file", "x", 0666);
  Chown("file", kOwner, kGroup);
  ASSERT_EQ(Set("file", "trusted.a", "v"), 0);
  EXPECT_EQ(Get("file", "trusted.a"), "v");
  EXPECT_EQ(As(Owner(), [&] { return Set("file", "trusted.a", "w"); }), EPERM);
  EXPECT_EQ(As(Owner(), [&] { return Remove("file", "trusted.a"); }), EPERM);
  EXPECT_EQ(As(Owner(), [&] { return GetError("file", "trusted.a"); }), ENODATA);
}

TEST_P(XattrTest, SecurityOnesAreReadByAllAndSetByRoot) {
  MakeFile("file", "x", 0666);
  ASSERT_EQ(Set("file", "security.a", "v"), 0);
  EXPECT_EQ(As(Stranger(), [&] { return GetError("file", "security.a"); }), 0);
  EXPECT_EQ(As(Stranger(), [&] { return Set("file", "security.a", "w"); }), EPERM);
}

TEST_P(XattrTest, OtherNamespacesAreNotSupported) {
  MakeFile("file");
  EXPECT_EQ(Set("file", "nonsense.a", "v"), EOPNOTSUPP);
  EXPECT_EQ(Set("file", "a", "v"), EOPNOTSUPP);
  EXPECT_EQ(Set("file", "user.", "v"), EINVAL);
  EXPECT_EQ(GetError("file", "nonsense.a"), EOPNOTSUPP);
}

TEST_P(XattrTest, LinksShareThemAndCopiesOfTheNameDoNot) {
  MakeFile("a");
  ASSERT_EQ(Set("a", "user.x", "v"), 0);
  ASSERT_EQ(Link("a", "b"), 0);
  EXPECT_EQ(Get("b", "user.x"), "v");
  ASSERT_EQ(Unlink("a"), 0);
  MakeFile("a");
  EXPECT_EQ(GetError("a", "user.x"), ENODATA);
}

TEST_P(XattrTest, TrustedNamesAreListedToRootAlone) {
  MakeFile("file", "x", 0666);
  ASSERT_EQ(Set("file", "trusted.secret", "v"), 0);
  ASSERT_EQ(Set("file", "user.a", "v"), 0);
  const auto listed = [&] {
    std::array<char, 256> names = {};
    const ssize_t got = ::listxattr(At("file").c_str(), names.data(), names.size());
    const ssize_t told = ::listxattr(At("file").c_str(), nullptr, 0);
    return got == told ? static_cast<int>(got) : 255;
  };
  const int root_sees = static_cast<int>(sizeof("trusted.secret") + sizeof("user.a"));
  EXPECT_EQ(InChildProcess(listed), root_sees);
  EXPECT_EQ(As(Stranger(), listed), static_cast<int>(sizeof("user.a")));
  EXPECT_EQ(InChildProcess([&] { return DropCapability(CAP_SYS_ADMIN) ? listed() : 254; }),
            static_cast<int>(sizeof("user.a")));
}

}  // namespace
}  // namespace dedupfs
