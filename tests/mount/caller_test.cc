// Supplementary groups of callers.
#include "fs/fuse/caller.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
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

TEST(CallerTest, ThreadThatCannotBeSeenHasNoGroups) {
  EXPECT_TRUE(GroupsOfThread(0).empty());
  EXPECT_TRUE(GroupsOfThread(-1).empty());
}

}  // namespace
}  // namespace dedupfs
