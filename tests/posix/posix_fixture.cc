#include "tests/posix/posix_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace dedupfs {
namespace {

int WaitFor(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

bool Become(const User& user) {
  if (user.uid == 0) return true;
  return ::setgroups(user.groups.size(), user.groups.data()) == 0 &&
         ::setresgid(user.gid, user.gid, user.gid) == 0 &&
         ::setresuid(user.uid, user.uid, user.uid) == 0;
}

pid_t Fork(const User& user, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  if (!Become(user)) ::_exit(255);
  ::_exit(body());
}

}  // namespace

std::ostream& operator<<(std::ostream& out, Kind kind) {
  return out << (kind == Kind::kExt4 ? "ext4" : "dedupfs");
}

std::string KindName(const ::testing::TestParamInfo<Kind>& info) {
  return info.param == Kind::kExt4 ? "ext4" : "dedupfs";
}

Mounts& TheMounts() {
  static Mounts mounts;
  return mounts;
}

TestedFileSystem& PosixTest::tested() const {
  return IsDedupfs() ? *TheMounts().dedupfs : *TheMounts().ext4;
}

void PosixTest::SetUp() {
  const bool there = IsDedupfs() ? TheMounts().dedupfs != nullptr : TheMounts().ext4 != nullptr;
  if (!there) GTEST_SKIP() << TheMounts().why_no_ext4;
  ::umask(022);
  std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->test_suite_name();
  name += std::string(".") + ::testing::UnitTest::GetInstance()->current_test_info()->name();
  std::replace(name.begin(), name.end(), '/', '.');
  directory_ = tested().root() + "/" + name;
  ASSERT_EQ(Error(::mkdir(directory_.c_str(), 0777)), 0);
  ASSERT_EQ(Error(::chmod(directory_.c_str(), 0777)), 0);
}

void PosixTest::TearDown() { ::umask(022); }

void PosixTest::MakeFile(std::string_view name, std::string_view content, mode_t mode) const {
  const int fd = ::open(At(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0) << name << ": " << strerror(errno);
  while (!content.empty()) {
    const ssize_t wrote = ::write(fd, content.data(), content.size());
    ASSERT_GT(wrote, 0) << strerror(errno);
    content.remove_prefix(static_cast<size_t>(wrote));
  }
  EXPECT_EQ(Error(::fchmod(fd, mode)), 0);
  EXPECT_EQ(Error(::close(fd)), 0);
}

void PosixTest::MakeDirectory(std::string_view name, mode_t mode) const {
  ASSERT_EQ(Error(::mkdir(At(name).c_str(), 0700)), 0) << name;
  Chmod(name, mode);
}

void PosixTest::Chown(std::string_view name, uid_t uid, gid_t gid) const {
  ASSERT_EQ(Error(::lchown(At(name).c_str(), uid, gid)), 0) << name;
}

void PosixTest::Chmod(std::string_view name, mode_t mode) const {
  ASSERT_EQ(Error(::chmod(At(name).c_str(), mode)), 0) << name;
}

std::string PosixTest::Content(std::string_view name) const {
  std::string out(Stat(name).st_size, '\0');
  const int fd = ::open(At(name).c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_GE(fd, 0) << name << ": " << strerror(errno);
  EXPECT_EQ(::pread(fd, out.data(), out.size(), 0), static_cast<ssize_t>(out.size()));
  EXPECT_EQ(Error(::close(fd)), 0);
  return out;
}

struct stat PosixTest::Stat(std::string_view name) const {
  struct stat status = {};
  EXPECT_EQ(Error(::lstat(At(name).c_str(), &status)), 0) << name;
  return status;
}

bool PosixTest::IsThere(std::string_view name) const {
  struct stat status = {};
  return ::lstat(At(name).c_str(), &status) == 0;
}

int PosixTest::Link(std::string_view from, std::string_view to) const {
  return Error(::link(At(from).c_str(), At(to).c_str()));
}

int PosixTest::Unlink(std::string_view name) const { return Error(::unlink(At(name).c_str())); }

int PosixTest::Rmdir(std::string_view name) const { return Error(::rmdir(At(name).c_str())); }

int PosixTest::Rename(std::string_view from, std::string_view to, unsigned flags) const {
  return Error(::renameat2(AT_FDCWD, At(from).c_str(), AT_FDCWD, At(to).c_str(), flags));
}

int Error(ssize_t result) { return result < 0 ? errno : 0; }

User Owner() { return {.uid = kOwner, .gid = kGroup}; }
User Member() { return {.uid = kMember, .gid = kMember, .groups = {kGroup}}; }
User Stranger() { return {.uid = kStranger, .gid = kStranger}; }

int As(const User& user, const std::function<int()>& body) {
  const pid_t child = Fork(user, body);
  EXPECT_GT(child, 0);
  const int status = WaitFor(child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int InChildProcess(const std::function<int()>& body) { return As({}, body); }

bool DropCapability(unsigned capability) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data = {};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  data[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
  return ::syscall(SYS_capset, &header, data.data()) == 0;
}

int SignalOf(const std::function<int()>& body) {
  const pid_t child = Fork({}, [&body] {
    ::signal(SIGBUS, SIG_DFL);  // a sanitizer would handle it
    return body();
  });
  EXPECT_GT(child, 0);
  const int status = WaitFor(child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace dedupfs
