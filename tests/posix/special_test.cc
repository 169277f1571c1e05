// Special files, statfs, and a mount that is read-only.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class SpecialTest : public PosixTest {};
POSIX_RULES(special, SpecialTest);

TEST_P(SpecialTest, FifoCarriesBytes) {
  ASSERT_EQ(Error(::mkfifo(At("fifo").c_str(), 0600)), 0);
  EXPECT_TRUE(S_ISFIFO(Stat("fifo").st_mode));
  EXPECT_EQ(Error(::open(At("fifo").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)), ENXIO);
  const int fd = ::open(At("fifo").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  char text[8] = {};
  EXPECT_EQ(::write(fd, "through", 7), 7);
  EXPECT_EQ(::read(fd, text, sizeof(text)), 7);
  EXPECT_STREQ(text, "through");
  EXPECT_EQ(Error(::lseek(fd, 0, SEEK_SET)), ESPIPE);
  ::close(fd);
}

TEST_P(SpecialTest, SocketIsBoundAndReached) {
  // The address is short: by the directory's handle.
  const int dir = ::open(directory().c_str(), O_PATH | O_CLOEXEC);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  static_cast<void>(
      std::snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/socket", dir));
  const auto* const name = reinterpret_cast<const sockaddr*>(&address);
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(Error(::bind(server, name, sizeof(address))), 0);
  ASSERT_EQ(Error(::listen(server, 1)), 0);
  EXPECT_TRUE(S_ISSOCK(Stat("socket").st_mode));
  const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(Error(::connect(client, name, sizeof(address))), 0);
  EXPECT_EQ(Error(::open(At("socket").c_str(), O_RDWR | O_CLOEXEC)), ENXIO);
  EXPECT_EQ(Error(::bind(client, name, sizeof(address))), EADDRINUSE);
  for (const int fd : {server, client, dir}) ::close(fd);
}

TEST_P(SpecialTest, DeviceNodesKeepTheirNumbers) {
  ASSERT_EQ(Error(::mknod(At("null").c_str(), S_IFCHR | 0666, makedev(1, 3))), 0);
  ASSERT_EQ(Error(::mknod(At("far").c_str(), S_IFBLK | 0600, makedev(300, 70'000))), 0);
  EXPECT_EQ(Stat("null").st_rdev, makedev(1, 3));
  EXPECT_EQ(Stat("far").st_rdev, makedev(300, 70'000));
  EXPECT_TRUE(S_ISBLK(Stat("far").st_mode));
  const int fd = ::open(At("null").c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(::write(fd, "gone", 4), 4);
  ::close(fd);
}

TEST_P(SpecialTest, OnlyRootMakesDevices) {
  EXPECT_EQ(As(Stranger(),
               [&] { return Error(::mknod(At("null").c_str(), S_IFCHR | 0666, makedev(1, 3))); }),
            EPERM);
  EXPECT_EQ(As(Stranger(), [&] { return Error(::mknod(At("f").c_str(), S_IFIFO | 0666, 0)); }), 0);
  EXPECT_EQ(As(Stranger(), [&] { return Error(::mknod(At("s").c_str(), S_IFSOCK | 0666, 0)); }), 0);
  EXPECT_EQ(Error(::mknod(At("d").c_str(), S_IFDIR | 0777, 0)), EPERM);
}

TEST_P(SpecialTest, StatfsAddsUp) {
  struct statvfs space = {};
  ASSERT_EQ(Error(::statvfs(directory().c_str(), &space)), 0);
  EXPECT_EQ(space.f_namemax, 255U);
  EXPECT_GT(space.f_frsize, 0U);
  EXPECT_LE(space.f_bavail, space.f_bfree);
  EXPECT_LE(space.f_bfree, space.f_blocks);
  EXPECT_LE(space.f_ffree, space.f_files);
  EXPECT_EQ(space.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV), 0U);
  EXPECT_EQ(::pathconf(directory().c_str(), _PC_NAME_MAX), 255);
}

// Every change is refused, and nothing that only reads.
TEST_P(SpecialTest, ReadOnlyMountRefusesEveryChange) {
  MakeFile("file", "content", 0666);
  MakeDirectory("dir");
  ASSERT_TRUE(tested().Remount(true));
  const std::string file = At("file");
  const std::string fresh = At("new");
  EXPECT_EQ(Content("file"), "content");
  EXPECT_EQ(Error(::open(file.c_str(), O_RDWR | O_CLOEXEC)), EROFS);
  EXPECT_EQ(Error(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)), EROFS);
  EXPECT_EQ(Error(::open(file.c_str(), O_RDONLY | O_TRUNC | O_CLOEXEC)), EROFS);
  EXPECT_EQ(Error(::truncate(file.c_str(), 0)), EROFS);
  EXPECT_EQ(Error(::mkdir(fresh.c_str(), 0755)), EROFS);
  EXPECT_EQ(Error(::mkdir(At("dir").c_str(), 0755)), EEXIST);
  EXPECT_EQ(Rmdir("dir"), EROFS);
  EXPECT_EQ(Error(::unlink(file.c_str())), EROFS);
  EXPECT_EQ(Error(::rename(file.c_str(), fresh.c_str())), EROFS);
  EXPECT_EQ(Error(::link(file.c_str(), fresh.c_str())), EROFS);
  EXPECT_EQ(Error(::symlink("x", fresh.c_str())), EROFS);
  EXPECT_EQ(Error(::mkfifo(fresh.c_str(), 0644)), EROFS);
  EXPECT_EQ(Error(::chmod(file.c_str(), 0600)), EROFS);
  EXPECT_EQ(Error(::chown(file.c_str(), 1, 1)), EROFS);
  EXPECT_EQ(Error(::utimensat(AT_FDCWD, file.c_str(), nullptr, 0)), EROFS);
  EXPECT_EQ(Error(::setxattr(file.c_str(), "user.a", "v", 1, 0)), EROFS);
  EXPECT_EQ(Error(::removexattr(file.c_str(), "user.a")), EROFS);
  EXPECT_EQ(Error(::access(file.c_str(), W_OK)), EROFS);
  EXPECT_EQ(Error(::access(file.c_str(), R_OK)), 0);
  struct statvfs space = {};
  EXPECT_EQ(Error(::statvfs(file.c_str(), &space)), 0);
  EXPECT_NE(space.f_flag & ST_RDONLY, 0U);
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Error(::chmod(file.c_str(), 0600)), 0);
}

TEST_P(SpecialTest, AllIsThereAfterARemount) {
  MakeFile("file", "content", 0640);
  Chown("file", kOwner, kGroup);
  const std::string path = At("file");
  const timespec times[2] = {{100, 1}, {200, 2}};
  ASSERT_EQ(Error(::setxattr(path.c_str(), "user.a", "v", 1, 0)), 0);
  ASSERT_EQ(Error(::link(path.c_str(), At("link").c_str())), 0);
  ASSERT_EQ(Error(::utimensat(AT_FDCWD, path.c_str(), times, 0)), 0);
  const struct stat before = Stat("file");
  ASSERT_TRUE(tested().Remount(false));
  const struct stat after = Stat("file");
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_nlink, 2U);
  EXPECT_EQ(after.st_uid, kOwner);
  EXPECT_EQ(after.st_atim.tv_nsec, 1);
  EXPECT_EQ(after.st_mtim.tv_sec, 200);
  EXPECT_EQ(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
  EXPECT_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
  EXPECT_EQ(Content("link"), "content");
  char value = 0;
  EXPECT_EQ(::getxattr(path.c_str(), "user.a", &value, 1), 1);
}

}  // namespace
}  // namespace dedupfs
