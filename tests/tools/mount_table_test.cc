#include "tools/dedupfs/mount_table.h"

#include <gtest/gtest.h>

#include <string>

namespace dedupfs {
namespace {

TEST(MountTableTest, FindsOnlyDedupFsAndUnescapesNames) {
  const auto entries = ParseMountTable(
      "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
      "40 22 0:50 / /mnt/my\\040photos rw,noatime shared:2 master:1 - fuse.dedupfs "
      "/srv/a\\134b rw,user_id=0\n"
      "41 22 0:51 / /mnt/sshfs rw - fuse.sshfs host:/ rw\n"
      "42 22 0:52 / /mnt/b rw - fuse.dedupfs /srv/b rw\n");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].mountpoint, "/mnt/my photos");
  EXPECT_EQ(entries[0].source, "/srv/a\\b");
  EXPECT_EQ(entries[1].mountpoint, "/mnt/b");
  EXPECT_EQ(entries[1].source, "/srv/b");
}

TEST(MountTableTest, EveryTruncationIsHarmless) {
  const std::string line = "42 22 0:52 / /mnt/b\\04 rw - fuse.dedupfs /srv/b\\0 rw";
  for (size_t size = 0; size <= line.size(); ++size) {
    EXPECT_LE(ParseMountTable(line.substr(0, size)).size(), 1u) << size;
  }
}

TEST(MountTableTest, TheKernelsTableIsReadable) { EXPECT_TRUE(ReadMountTable()); }

TEST(MountTableTest, WhatIsNotMountedIsNotFound) {
  const auto mount = FindMount("/no/such/mount point");
  ASSERT_TRUE(mount);
  EXPECT_FALSE(mount->has_value());
}

}  // namespace
}  // namespace dedupfs
