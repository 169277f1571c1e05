#include "tools/dedupfs/mount_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace dedupfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(MountOptionsTest, NoOptionsGiveTheDefaults) {
  const auto set = ParseMountOptions("");
  ASSERT_TRUE(set);
  EXPECT_FALSE(set->read_only);
  EXPECT_FALSE(set->allow_other);
  EXPECT_TRUE(set->writeback_cache);
  EXPECT_THAT(set->kernel, IsEmpty());
}

TEST(MountOptionsTest, EachOptionIsTaken) {
  const auto set = ParseMountOptions(
      "ro,noatime,nodiratime,nodev,nosuid,noexec,allow_other,"
      "default_permissions,no_writeback_cache");
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->read_only);
  EXPECT_TRUE(set->allow_other);
  EXPECT_FALSE(set->writeback_cache);
  EXPECT_THAT(set->kernel, ElementsAre("noatime", "nodiratime", "nodev", "nosuid", "noexec"));
}

TEST(MountOptionsTest, TheLastOfContraryOptionsWins) {
  const auto set = ParseMountOptions("ro,nosuid,noatime,rw,suid,relatime");
  ASSERT_TRUE(set);
  EXPECT_FALSE(set->read_only);
  EXPECT_THAT(set->kernel, ElementsAre("suid", "relatime"));
}

TEST(MountOptionsTest, OptionsOfFstabAreAccepted) {
  const auto set = ParseMountOptions(
      "defaults,nofail,_netdev,user,noauto,x-systemd.automount,x-gvfs-show,,comment=mine");
  ASSERT_TRUE(set);
  EXPECT_THAT(set->kernel, IsEmpty());
}

TEST(MountOptionsTest, RemountIsRefusedWithTheWayOut) {
  const auto set = ParseMountOptions("remount,ro");
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, EINVAL);
  EXPECT_THAT(set.error().message, HasSubstr("unmount, and mount again"));
}

// Commands that take a mount point read the store from the mount table.
TEST(MountOptionsTest, AnotherNameForTheStoreInTheMountTableIsRefused) {
  for (const std::string option : {"fsname=disk one", "fsname="}) {
    const auto set = ParseMountOptions("ro," + option);
    ASSERT_FALSE(set) << option;
    EXPECT_EQ(set.error().code, EINVAL);
    EXPECT_THAT(set.error().message, HasSubstr("option fsname"));
  }
}

TEST(MountOptionsTest, UnknownOptionIsNamed) {
  for (const std::string option : {"compress=zstd", "fsname", "rO", "writeback_cache"}) {
    const auto set = ParseMountOptions("noatime," + option);
    ASSERT_FALSE(set) << option;
    EXPECT_EQ(set.error().code, EINVAL);
    EXPECT_THAT(set.error().message, HasSubstr("option " + option));
  }
}

}  // namespace
}  // namespace dedupfs
