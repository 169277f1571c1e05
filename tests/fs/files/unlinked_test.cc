// Files without a name.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr uint64_t kSize = 8 << 20;

TEST(UnlinkedTest, OpenFileIsWholeUntilItsLastReleaseAndForget) {
  Random random(TestSeed());
  TestStore store;
  const uint64_t empty_inodes = store.SettledStats().inodes;
  const std::string bytes = random.Bytes(kSize);
  Handle file = store.CreateFile("file");
  file.Write(0, bytes);
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "file")));
  EXPECT_FALSE(store.Exists("file"));
  ASSERT_TRUE(IsOk(store.fs().SyncAll()));
  ASSERT_TRUE(IsOk(store.fs().Reclaim()));
  EXPECT_TRUE(file.ReadAll() == bytes);
  file.Write(kSize, "more");
  file.Fsync();
  EXPECT_EQ(file.Read(kSize - 1, 10), bytes.substr(kSize - 1) + "more");
  const Ino ino = file.ino();
  file.Close();
  EXPECT_EQ(CodeOf(store.fs().GetAttributes(ino)), ESTALE);
  const FileSystemStats stats = store.SettledStats();
  ExpectEmptyStore(stats, empty_inodes);
  EXPECT_LT(stats.store.pack_bytes, kSize) << "the packs are gone from the disk";
}

TEST(UnlinkedTest, KernelReferenceAloneKeepsTheInode) {
  TestStore store;
  store.PutFile("file", "content");
  const auto found = store.fs().Lookup(kRootIno, "file");
  ASSERT_TRUE(IsOk(found));
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "file")));
  const auto after = store.fs().GetAttributes(found->ino);
  ASSERT_TRUE(IsOk(after));
  EXPECT_EQ(after->nlink, 0u);
  auto opened = store.fs().Open(found->ino, O_RDONLY);
  ASSERT_TRUE(IsOk(opened));
  Handle handle(&store.fs(), std::move(*opened), found->ino, 1);
  EXPECT_EQ(handle.ReadAll(), "content");
  handle.Close();
  EXPECT_EQ(CodeOf(store.fs().GetAttributes(found->ino)), ESTALE);
}

TEST(UnlinkedTest, OtherHardLinkKeepsTheContent) {
  TestStore store;
  store.PutFile("file", "content");
  const Ino ino = store.Find("file");
  ASSERT_TRUE(IsOk(store.fs().Link(ino, kRootIno, "other")));
  store.fs().Forget(ino, 1);
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "file")));
  store.Settle();
  EXPECT_EQ(store.GetFile("other"), "content");
  EXPECT_EQ(store.Find("other"), ino);
}

TEST(UnlinkedTest, InodeNumbersAreNeverUsedAgain) {
  TestStore store;
  store.PutFile("first", "1");
  const Ino first = store.Find("first");
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "first")));
  store.Settle();
  store.Reopen();
  store.PutFile("second", "2");
  EXPECT_GT(store.Find("second"), first);
  EXPECT_EQ(CodeOf(store.fs().GetAttributes(first)), ESTALE);
}

}  // namespace
}  // namespace dedupfs
