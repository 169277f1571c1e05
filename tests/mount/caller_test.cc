// Supplementary groups and capabilities of callers.
#include "fs/fuse/caller.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace dedupfs {
namespace {

TEST(CallerTest, GroupsAreReadFromTheStatusText) {
  EXPECT_EQ(ParseGroups("Name:\tx\nGroups:\t4 24 1000 \nPid:\t7\n"),
            (std::vector<uint32_t>{4, 24, 1000}));
  EXPECT_EQ(ParseGroups("Name:\tx\nGroups:\t \nPid:\t7\n"), std::vector<uint32_t>{});
  EXPECT_EQ(ParseGroups(""), std::vector<uint32_t>{});
  EXPECT_EQ(ParseGroups("Name:\tGroups: 5\n"), std::vector<uint32_t>{});
}

TEST(CallerTest, ThousandsOfGroupsAreAllRead) {
  std::string status = "x\nGroups:\t";
  std::vector<uint32_t> expected;
  expected.reserve(60'000);
  for (uint32_t i = 0; i < 60'000; ++i) {
    expected.push_back(i * 70'000);
    status += std::to_string(expected.back()) + " ";
  }
  EXPECT_EQ(ParseGroups(status + "\n"), expected);
}

TEST(CallerTest, GroupsOfThisThreadAreThoseOfGetgroups) {
  const int count = ::getgroups(0, nullptr);
  ASSERT_GE(count, 0);
  std::vector<gid_t> groups(static_cast<size_t>(count));
  ASSERT_EQ(::getgroups(count, groups.data()), count);
  EXPECT_EQ(GroupsOfThread(::gettid()), std::vector<uint32_t>(groups.begin(), groups.end()));
}

TEST(CallerTest, CapabilitiesAreReadFromTheStatusText) {
  EXPECT_EQ(ParseCapabilities("x\nCapPrm:\t1\nCapEff:\t000001ffffffffff\nCapBnd:\t2\n"),
            0x1ffffffffffU);
  EXPECT_EQ(ParseCapabilities("x\nCapEff:\t0000000000000200\n"), 0x200U);
  EXPECT_EQ(ParseCapabilities("x\nCapEff:\n"), 0U);
  EXPECT_EQ(ParseCapabilities("Name:\tCapEff: ff\n"), 0U);
  EXPECT_EQ(ParseCapabilities(""), 0U);
}

// In a child process, which gives up what `change` takes from it.
bool MayChangeFlagsAfter(const std::function<bool()>& change) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(!change() ? 2 : MayChangeFlags(::getpid(), ::getuid()) ? 1 : 0);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2) << status;
  return WEXITSTATUS(status) == 1;
}

bool KeepOnly(uint32_t capabilities) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const std::array<__user_cap_data_struct, 2> data = {{{capabilities, capabilities, 0}, {}}};
  return ::syscall(SYS_capset, &header, data.data()) == 0;
}

// By the capability, not by being root.
TEST(CallerTest, CapabilityChangesFlagsWhoeverHoldsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: to give capabilities up";
  constexpr uint32_t kImmutableBit = 1U << CAP_LINUX_IMMUTABLE;
  const auto become = [](uid_t uid) {
    return ::prctl(PR_SET_KEEPCAPS, 1) == 0 && ::setresuid(uid, uid, uid) == 0;
  };
  EXPECT_TRUE(MayChangeFlagsAfter([] { return true; }));
  EXPECT_FALSE(MayChangeFlagsAfter([] { return KeepOnly(1U << CAP_CHOWN); }));
  EXPECT_FALSE(MayChangeFlagsAfter([] { return ::setresuid(1000, 1000, 1000) == 0; }));
  EXPECT_TRUE(MayChangeFlagsAfter([&] { return become(1000) && KeepOnly(kImmutableBit); }));
}

TEST(CallerTest, CapabilitiesOfAnotherUserNamespaceDoNotCount) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: to see another user namespace";
  std::array<int, 2> ready = {};
  std::array<int, 2> stop = {};
  ASSERT_EQ(::pipe2(ready.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(stop.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // Another program: one with threads, as a sanitizer makes of ours, cannot leave its namespace.
    ::dup2(stop[0], STDIN_FILENO);
    ::dup2(ready[1], STDOUT_FILENO);
    ::execlp("unshare", "unshare", "--user", "sh", "-c", "echo y; read -r _ || true", nullptr);
    ::_exit(127);
  }
  ::close(std::exchange(ready[1], -1));
  char made = 0;
  static_cast<void>(!::read(ready[0], &made, 1));
  const bool may = MayChangeFlags(child, 0);
  ::close(stop[1]);
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  for (const int fd : {ready[0], stop[0]}) ::close(fd);
  if (made != 'y') GTEST_SKIP() << "needs userns: user namespaces are off";
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(may);
}

TEST(CallerTest, CallerOfAnotherPidNamespaceChangesFlagsAsRoot) {
  EXPECT_TRUE(MayChangeFlags(0, 0));
  EXPECT_FALSE(MayChangeFlags(0, 1000));
}

TEST(CallerTest, ThreadThatCannotBeSeenHasNoGroups) {
  EXPECT_TRUE(GroupsOfThread(0).empty());
  EXPECT_TRUE(GroupsOfThread(-1).empty());
}

}  // namespace
}  // namespace dedupfs
