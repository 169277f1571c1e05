// Copies share chunks: what they cost, what the figures say, what stays when one of them goes.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr std::string_view kContentId = "user.dedupfs.content_id";

void CopyWhole(TestStore& store, const std::string& from, const std::string& to, uint64_t size) {
  Handle source = store.OpenFile(from, O_RDONLY);
  Handle target = store.CreateFile(to);
  ASSERT_TRUE(source.ok() && target.ok());
  const auto copied = store.fs().CopyRange(source.file(), 0, target.file(), 0, size);
  ASSERT_TRUE(IsOk(copied));
  EXPECT_EQ(*copied, size);
}

TEST(SharingTest, CopyOfALargeFileStoresNothingNew) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(64 * kMiB);
  store.PutFile("file", bytes);
  const FileSystemStats before = store.SettledStats();
  EXPECT_EQ(before.store.logical_bytes, bytes.size());
  EXPECT_EQ(before.store.unique_bytes, bytes.size());
  ASSERT_NO_FATAL_FAILURE(CopyWhole(store, "file", "copy", bytes.size()));
  const FileSystemStats after = store.SettledStats();
  EXPECT_EQ(after.store.logical_bytes, 2 * bytes.size());
  EXPECT_EQ(after.store.unique_bytes, before.store.unique_bytes);
  EXPECT_EQ(after.store.stored_bytes, before.store.stored_bytes);
  EXPECT_EQ(after.store.chunks, before.store.chunks);
  EXPECT_EQ(after.store.pack_bytes, before.store.pack_bytes);
  EXPECT_TRUE(store.GetFile("copy") == bytes);
  EXPECT_EQ(store.Xattr("copy", kContentId), store.Xattr("file", kContentId));
}

TEST(SharingTest, WrittenCopyStoresNothingNew) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(8 * kMiB);
  store.PutFile("file", bytes);
  const FileSystemStats before = store.SettledStats();
  store.PutFile("copy", bytes);
  const FileSystemStats after = store.SettledStats();
  EXPECT_EQ(after.store.unique_bytes, before.store.unique_bytes);
  EXPECT_EQ(after.store.logical_bytes, 2 * before.store.logical_bytes);
}

TEST(SharingTest, OneOfTwoCopiesKeepsEverythingWhenTheOtherGoes) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(4 * kMiB);
  store.PutFile("file", bytes);
  ASSERT_NO_FATAL_FAILURE(CopyWhole(store, "file", "copy", bytes.size()));
  store.Settle();
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "file")));
  const FileSystemStats stats = store.SettledStats();
  EXPECT_EQ(stats.store.logical_bytes, bytes.size());
  EXPECT_EQ(stats.store.unique_bytes, bytes.size());
  EXPECT_TRUE(store.GetFile("copy") == bytes);
  store.Reopen();
  EXPECT_TRUE(store.GetFile("copy") == bytes);
  store.ExpectCleanCheck();
}

TEST(SharingTest, EditOfACopyLeavesTheOriginalAlone) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(2 * kMiB);
  store.PutFile("file", bytes);
  ASSERT_NO_FATAL_FAILURE(CopyWhole(store, "file", "copy", bytes.size()));
  store.OpenFile("copy").Write(kMiB, "edited");
  const FileSystemStats stats = store.SettledStats();
  EXPECT_TRUE(store.GetFile("file") == bytes);
  std::string edited = bytes;
  edited.replace(kMiB, 6, "edited");
  EXPECT_TRUE(store.GetFile("copy") == edited);
  EXPECT_LT(stats.store.unique_bytes, bytes.size() + 256 * 1024) << "only chunks near the edit";
  EXPECT_NE(store.Xattr("copy", kContentId), store.Xattr("file", kContentId));
}

TEST(SharingTest, XattrsTellWhatIsSharedAndWhatIsNot) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(2 * kMiB);
  store.PutFile("file", bytes);
  store.Settle();
  EXPECT_EQ(store.XattrNumber("file", "user.dedupfs.unique_bytes"), bytes.size());
  EXPECT_EQ(store.XattrNumber("file", "user.dedupfs.shared_bytes"), 0u);
  EXPECT_GE(store.XattrNumber("file", "user.dedupfs.stored_bytes"), bytes.size() / 2);
  const uint64_t chunks = store.XattrNumber("file", "user.dedupfs.chunks");
  EXPECT_GT(chunks, 1u);
  ASSERT_NO_FATAL_FAILURE(CopyWhole(store, "file", "copy", bytes.size()));
  store.Settle();
  for (const char* name : {"file", "copy"}) {
    SCOPED_TRACE(name);
    EXPECT_EQ(store.XattrNumber(name, "user.dedupfs.unique_bytes"), 0u);
    EXPECT_EQ(store.XattrNumber(name, "user.dedupfs.shared_bytes"), bytes.size());
    EXPECT_EQ(store.XattrNumber(name, "user.dedupfs.chunks"), chunks);
  }
  ASSERT_TRUE(IsOk(store.fs().Unlink(kRootIno, "copy")));
  store.Settle();
  EXPECT_EQ(store.XattrNumber("file", "user.dedupfs.unique_bytes"), bytes.size());
  EXPECT_EQ(store.XattrNumber("file", "user.dedupfs.shared_bytes"), 0u);
}

TEST(SharingTest, VirtualXattrsAreReadOnlyAndNotListed) {
  TestStore store;
  store.PutFile("file", "content");
  const Ino ino = store.Find("file");
  const auto names = store.fs().ListXattrs(ino);
  ASSERT_TRUE(IsOk(names));
  EXPECT_TRUE(names->empty());
  EXPECT_NE(CodeOf(store.fs().SetXattr(ino, kContentId, "mine", 0, Caller{})), 0);
  EXPECT_NE(CodeOf(store.fs().RemoveXattr(ino, kContentId)), 0);
}

TEST(SharingTest, FiguresAfterThreeCopiesAreExact) {
  Random random(TestSeed());
  TestStore store;
  // Random bytes do not compress, and text does. The text comes first: after random chunks a file
  // counts as raw for the next 64, which may be all that the text has.
  std::string bytes;
  for (int i = 0; bytes.size() < kMiB; ++i) bytes += "line " + std::to_string(i) + " of text\n";
  bytes += random.Bytes(2 * kMiB);
  store.PutFile("file", bytes);
  const FileSystemStats one = store.SettledStats();
  EXPECT_EQ(one.store.logical_bytes, bytes.size());
  EXPECT_EQ(one.store.unique_bytes, bytes.size());
  EXPECT_LT(one.store.stored_bytes, one.store.unique_bytes);
  EXPECT_GT(one.store.stored_bytes, 2 * kMiB);
  EXPECT_GE(one.store.pack_bytes, one.store.stored_bytes);
  for (const char* name : {"copy1", "copy2", "copy3"}) {
    ASSERT_NO_FATAL_FAILURE(CopyWhole(store, "file", name, bytes.size()));
  }
  const FileSystemStats four = store.SettledStats();
  EXPECT_EQ(four.store.logical_bytes, 4 * bytes.size());
  EXPECT_EQ(four.store.unique_bytes, one.store.unique_bytes);
  EXPECT_EQ(four.store.stored_bytes, one.store.stored_bytes);
}

}  // namespace
}  // namespace dedupfs
