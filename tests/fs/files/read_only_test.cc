// A store opened for reading only.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "tests/fs/model/test_store.h"

namespace dedupfs {
namespace {

class ReadOnlyTest : public ::testing::Test {
 protected:
  ReadOnlyTest() {
    store_.PutFile("file", "content");
    store_.Close();
    store_.Open({.read_only = true});
  }
  TestStore store_;
};

TEST_F(ReadOnlyTest, ReadsEverything) {
  EXPECT_EQ(store_.GetFile("file"), "content");
  EXPECT_TRUE(IsOk(store_.fs().GetXattr(store_.Find("file"), "user.dedupfs.content_id")));
  bool listed = false;
  EXPECT_TRUE(IsOk(store_.fs().List(kRootIno, 0, [&](const DirectoryEntry& entry) {
    listed = listed || entry.name == "file";
    return true;
  })));
  EXPECT_TRUE(listed);
}

TEST_F(ReadOnlyTest, EveryChangeGivesErofs) {
  FileSystem& fs = store_.fs();
  const Ino ino = store_.Find("file");
  Attributes attributes;
  AttributeChange size, mode;
  size.size = 1;
  mode.mode = 0600;
  EXPECT_EQ(CodeOf(fs.Open(ino, O_RDWR)), EROFS);
  EXPECT_EQ(CodeOf(fs.Open(ino, O_WRONLY)), EROFS);
  EXPECT_EQ(CodeOf(fs.CreateAndOpen(kRootIno, "new", S_IFREG | 0644, O_RDWR | O_CREAT, Caller{},
                                    attributes)),
            EROFS);
  EXPECT_EQ(CodeOf(fs.Create(kRootIno, "dir", S_IFDIR | 0755, 0, "", Caller{})), EROFS);
  EXPECT_EQ(CodeOf(fs.Link(ino, kRootIno, "link")), EROFS);
  EXPECT_EQ(CodeOf(fs.Unlink(kRootIno, "file")), EROFS);
  EXPECT_EQ(CodeOf(fs.Rename(kRootIno, "file", kRootIno, "other", 0)), EROFS);
  EXPECT_EQ(CodeOf(fs.SetAttributes(ino, size, Caller{}, nullptr)), EROFS);
  EXPECT_EQ(CodeOf(fs.SetAttributes(ino, mode, Caller{}, nullptr)), EROFS);
  EXPECT_EQ(CodeOf(fs.SetXattr(ino, "user.x", "v", 0, Caller{})), EROFS);
  EXPECT_EQ(store_.GetFile("file"), "content");
}

}  // namespace
}  // namespace dedupfs
