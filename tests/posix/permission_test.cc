// Who may do what: permission bits, sticky directories, chmod, chown and access(2).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class PermissionTest : public PosixTest {};
POSIX_RULES(permission, PermissionTest);

struct UserClass {
  User user;
  int shift;  // of its bits in the mode
};

std::array<UserClass, 3> Classes() {
  return {UserClass{Owner(), 6}, UserClass{Member(), 3}, UserClass{Stranger(), 0}};
}

// A mode in which one class has these bits, and the others have all that it has not.
mode_t ModeOf(const UserClass& c, unsigned bits) {
  return (bits << c.shift) | (0777U & ~(7U << c.shift) & ~(bits * 0111U));
}

int OpenError(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

TEST_P(PermissionTest, FileBitsOfTheCallersClassAloneDecide) {
  MakeFile("file");
  Chown("file", kOwner, kGroup);
  const std::string path = At("file");
  for (const UserClass& c : Classes()) {
    for (unsigned bits = 0; bits < 8; ++bits) {
      Chmod("file", ModeOf(c, bits));
      const int wrong = As(c.user, [&] {
        const auto allowed = [&](unsigned wanted) {
          return (bits & wanted) == wanted ? 0 : EACCES;
        };
        if (OpenError(path, O_RDONLY) != allowed(4)) return 1;
        if (OpenError(path, O_WRONLY) != allowed(2)) return 2;
        if (OpenError(path, O_RDWR) != allowed(6)) return 3;
        if (OpenError(path, O_RDONLY | O_TRUNC) != allowed(6)) return 4;
        if (Error(::truncate(path.c_str(), 1)) != allowed(2)) return 5;
        if (Error(::access(path.c_str(), X_OK)) != allowed(1)) return 6;
        if (Error(::access(path.c_str(), R_OK | W_OK)) != allowed(6)) return 7;
        return 0;
      });
      EXPECT_EQ(wrong, 0) << "uid " << c.user.uid << " bits " << bits;
    }
  }
}

// Names of a directory need its write and search bits, looking them up its search bit, listing its
// read bit.
TEST_P(PermissionTest, DirectoryBitsOfTheCallersClassAloneDecide) {
  MakeDirectory("dir");
  Chown("dir", kOwner, kGroup);
  MakeFile("dir/there", "x", 0666);
  MakeFile("free", "x", 0666);
  const std::string dir = At("dir");
  for (const UserClass& c : Classes()) {
    for (unsigned bits = 0; bits < 8; ++bits) {
      Chmod("dir", ModeOf(c, bits));
      const int wrong = As(c.user, [&] {
        const auto allowed = [&](unsigned wanted) {
          return (bits & wanted) == wanted ? 0 : EACCES;
        };
        struct stat status = {};
        const std::string a = dir + "/a";
        const std::string b = dir + "/b";
        if (OpenError(dir, O_RDONLY | O_DIRECTORY) != allowed(4)) return 1;
        if (Error(::stat((dir + "/there").c_str(), &status)) != allowed(1)) return 2;
        if (OpenError(dir + "/there", O_RDWR) != allowed(1)) return 3;
        if (OpenError(a, O_WRONLY | O_CREAT) != allowed(3)) return 4;
        const int absent = (bits & 1) == 0 ? EACCES : ENOENT;  // the search for it fails first
        const auto removed = [&] { return (bits & 3) == 3 ? 0 : absent; };
        if (Error(::rename(a.c_str(), b.c_str())) != removed()) return 5;
        if (Error(::unlink(b.c_str())) != removed()) return 6;
        if (Error(::mkdir(a.c_str(), 0700)) != allowed(3)) return 7;
        if (Error(::rmdir(a.c_str())) != removed()) return 8;
        if (Error(::symlink("target", a.c_str())) != allowed(3)) return 9;
        if (Error(::unlink(a.c_str())) != removed()) return 10;
        if (Error(::mkfifo(a.c_str(), 0600)) != allowed(3)) return 11;
        if (Error(::unlink(a.c_str())) != removed()) return 12;
        if (Error(::chdir(dir.c_str())) != allowed(1)) return 13;
        return 0;
      });
      EXPECT_EQ(wrong, 0) << "uid " << c.user.uid << " bits " << bits;
    }
  }
}

TEST_P(PermissionTest, RootMayDoAllButExecuteWhatNobodyMay) {
  MakeFile("file", "x", 0);
  MakeDirectory("dir", 0);
  Chown("file", kOwner, kGroup);
  Chown("dir", kOwner, kGroup);
  EXPECT_EQ(OpenError(At("file"), O_RDWR), 0);
  EXPECT_EQ(Error(::access(At("file").c_str(), R_OK | W_OK)), 0);
  EXPECT_EQ(Error(::access(At("file").c_str(), X_OK)), EACCES);
  EXPECT_EQ(Error(::access(At("dir").c_str(), R_OK | W_OK | X_OK)), 0);
  MakeFile("dir/file");
  EXPECT_EQ(Unlink("dir/file"), 0);
}

TEST_P(PermissionTest, StickyDirectoryLetsOnlyOwnersRemove) {
  MakeDirectory("dir", 01777);
  Chown("dir", kOwner, kGroup);
  Chmod("dir", 01777);
  MakeFile("dir/file", "x", 0666);
  Chown("dir/file", kMember, kMember);
  MakeDirectory("dir/sub", 0777);
  Chown("dir/sub", kMember, kMember);
  const std::string file = At("dir/file");
  const int wrong = As(Stranger(), [&] {
    const std::string own = At("dir/own");
    if (Error(::unlink(file.c_str())) != EPERM) return 1;
    if (Error(::rename(file.c_str(), own.c_str())) != EPERM) return 2;
    if (Rmdir("dir/sub") != EPERM) return 3;
    if (OpenError(own, O_WRONLY | O_CREAT) != 0) return 4;
    if (Error(::rename(own.c_str(), file.c_str())) != EPERM) return 5;  // would replace it
    if (Error(::renameat2(AT_FDCWD, own.c_str(), AT_FDCWD, file.c_str(), RENAME_EXCHANGE)) !=
        EPERM) {
      return 6;
    }
    if (Error(::link(file.c_str(), At("dir/link").c_str())) != 0 && errno != EPERM) return 7;
    return Error(::unlink(own.c_str())) == 0 ? 0 : 8;
  });
  EXPECT_EQ(wrong, 0);
  // The owner of the directory may, and so may the file's own.
  EXPECT_EQ(As(Owner(), [&] { return Rmdir("dir/sub"); }), 0);
  EXPECT_EQ(As(Member(), [&] { return Error(::unlink(file.c_str())); }), 0);
}

TEST_P(PermissionTest, OnlyOwnerAndRootChangeTheMode) {
  MakeFile("file", "x", 0666);
  Chown("file", kOwner, kGroup);
  const auto change = [&] { return Error(::chmod(At("file").c_str(), 0640)); };
  EXPECT_EQ(As(Stranger(), change), EPERM);
  EXPECT_EQ(As(Member(), change), EPERM);
  EXPECT_EQ(As(Owner(), change), 0);
  EXPECT_EQ(Mode("file"), 0640U);
}

TEST_P(PermissionTest, OwnerGivesAFileOnlyToAGroupOfHis) {
  MakeFile("file");
  Chown("file", kOwner, kGroup);
  const std::string path = At("file");
  const auto give = [&](uid_t uid, gid_t gid) { return Error(::chown(path.c_str(), uid, gid)); };
  const User owner = {.uid = kOwner, .gid = kGroup, .groups = {kOtherGroup}};
  EXPECT_EQ(As(owner, [&] { return give(kStranger, -1); }), EPERM);
  EXPECT_EQ(As(owner, [&] { return give(-1, kStranger); }), EPERM);
  EXPECT_EQ(As(owner, [&] { return give(kOwner, kOtherGroup); }), 0);
  EXPECT_EQ(Stat("file").st_gid, kOtherGroup);
  EXPECT_EQ(As(Member(), [&] { return give(-1, kGroup); }), EPERM);
  EXPECT_EQ(As(Stranger(), [&] { return give(-1, -1); }), 0);  // asks for no change
  EXPECT_EQ(give(kStranger, kStranger), 0);
  EXPECT_EQ(Stat("file").st_uid, kStranger);
}

TEST_P(PermissionTest, LchownChangesTheLinkAndChownItsTarget) {
  MakeFile("file");
  ASSERT_EQ(Error(::symlink("file", At("link").c_str())), 0);
  ASSERT_EQ(Error(::lchown(At("link").c_str(), kOwner, kGroup)), 0);
  EXPECT_EQ(Stat("link").st_uid, kOwner);
  EXPECT_EQ(Stat("file").st_uid, 0U);
  ASSERT_EQ(Error(::chown(At("link").c_str(), kMember, kMember)), 0);
  EXPECT_EQ(Stat("link").st_uid, kOwner);
  EXPECT_EQ(Stat("file").st_uid, kMember);
}

TEST_P(PermissionTest, AccessAsksForTheRealUserAndEaccessForTheEffective) {
  MakeFile("file", "x", 0600);
  Chown("file", kOwner, kGroup);
  const int wrong = InChildProcess([&] {
    if (::setresuid(kStranger, kOwner, 0) != 0) return 1;
    if (Error(::access(At("file").c_str(), R_OK)) != EACCES) return 2;
    if (Error(::faccessat(AT_FDCWD, At("file").c_str(), R_OK, AT_EACCESS)) != 0) return 3;
    return OpenError(At("file"), O_RDWR) == 0 ? 0 : 4;
  });
  EXPECT_EQ(wrong, 0);
}

TEST_P(PermissionTest, UmaskTakesBitsFromWhatIsMade) {
  ::umask(027);
  const std::string file = At("file");
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0777);
  ASSERT_GE(fd, 0);
  ::close(fd);
  ASSERT_EQ(Error(::mkdir(At("dir").c_str(), 01777)), 0);
  ASSERT_EQ(Error(::mkfifo(At("fifo").c_str(), 0666)), 0);
  ASSERT_EQ(Error(::symlink("x", At("link").c_str())), 0);
  EXPECT_EQ(Mode("file"), 0750U);
  EXPECT_EQ(Mode("dir"), 01750U);
  EXPECT_EQ(Mode("fifo"), 0640U);
  EXPECT_EQ(Mode("link"), 0777U);
}

TEST_P(PermissionTest, HandleKeepsTheRightItWasOpenedWith) {
  MakeFile("file", "content", 0600);
  Chown("file", kOwner, kGroup);
  EXPECT_EQ(As(Owner(),
               [&] {
                 const int fd = ::open(At("file").c_str(), O_RDWR | O_CLOEXEC);
                 if (fd < 0 || ::chmod(At("file").c_str(), 0) != 0) return 1;
                 if (OpenError(At("file"), O_RDONLY) != EACCES) return 2;
                 char word = 0;
                 if (::pread(fd, &word, 1, 0) != 1 || ::pwrite(fd, "C", 1, 0) != 1) return 3;
                 return ::ftruncate(fd, 3) == 0 ? 0 : 4;
               }),
            0);
  EXPECT_EQ(Stat("file").st_size, 3);
}

TEST_P(PermissionTest, MovingADirectoryToAnotherParentNeedsItsWriteBit) {
  MakeDirectory("a", 0777);
  MakeDirectory("b", 0777);
  MakeDirectory("a/dir", 0555);
  Chown("a/dir", kOwner, kGroup);
  const auto move = [&] { return Error(::rename(At("a/dir").c_str(), At("b/dir").c_str())); };
  EXPECT_EQ(As(Owner(), move), EACCES);
  Chmod("a/dir", 0755);
  EXPECT_EQ(As(Owner(), move), 0);
}

TEST_P(PermissionTest, ExecutionNeedsTheExecuteBit) {
  MakeFile("script", "#!/bin/sh\nexit 7\n", 0744);
  Chown("script", kOwner, kGroup);
  const auto run = [&] {
    ::execl(At("script").c_str(), "script", nullptr);
    return errno;
  };
  EXPECT_EQ(As(Owner(), run), 7);
  EXPECT_EQ(As(Stranger(), run), EACCES);
}

}  // namespace
}  // namespace dedupfs
