// Which chunking a file gets, how it says so, and when its bytes are chunked.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr std::string_view kChunking = "user.dedupfs.chunking";
constexpr std::string_view kContentId = "user.dedupfs.content_id";
constexpr uint64_t kMiB = 1 << 20;

class PolicyTest : public ::testing::Test {
 protected:
  PolicyTest() : random_(TestSeed()), store_({.average_chunk_bytes = 32 << 10}) {}
  Random random_;
  TestStore store_;
};

TEST_F(PolicyTest, NamesOfDiskImagesAndDatabasesGetFixedBlocks) {
  for (const char* name : {"disk.img", "vm.qcow2", "x.sqlite"}) {
    SCOPED_TRACE(name);
    store_.PutFile(name, random_.Bytes(kMiB));
    store_.Settle();
    const std::string chunking = store_.Xattr(name, kChunking);
    EXPECT_TRUE(chunking.starts_with("fixed:4096")) << chunking;
    EXPECT_NE(chunking.find("name"), std::string::npos) << chunking;
    EXPECT_EQ(store_.XattrNumber(name, "user.dedupfs.chunks"), kMiB / 4096);
  }
}

TEST_F(PolicyTest, OtherFilesGetContentDefinedChunksOfTheStoresAverage) {
  store_.PutFile("photo.jpg", random_.Bytes(4 * kMiB));
  store_.Settle();
  const std::string chunking = store_.Xattr("photo.jpg", kChunking);
  EXPECT_TRUE(chunking.starts_with("content:32768")) << chunking;
  EXPECT_NE(chunking.find("default"), std::string::npos) << chunking;
  const uint64_t chunks = store_.XattrNumber("photo.jpg", "user.dedupfs.chunks");
  EXPECT_GT(chunks, 4 * kMiB / 32768 / 2);
  EXPECT_LT(chunks, 4 * kMiB / 32768 * 2);
}

TEST_F(PolicyTest, PolicyStaysWithTheFileOverReopenAndRename) {
  store_.PutFile("disk.img", random_.Bytes(kMiB));
  store_.Settle();
  const std::string chunking = store_.Xattr("disk.img", kChunking);
  const std::string id = store_.Xattr("disk.img", kContentId);
  ASSERT_TRUE(IsOk(store_.fs().Rename(kRootIno, "disk.img", kRootIno, "plain", 0)));
  store_.Reopen();
  EXPECT_EQ(store_.Xattr("plain", kChunking), chunking);
  EXPECT_EQ(store_.Xattr("plain", kContentId), id);
}

TEST_F(PolicyTest, BlockOverwrittenInAnImageStoresOneBlock) {
  std::string bytes = random_.Bytes(kMiB);
  store_.PutFile("disk.img", bytes);
  store_.PutFile("snapshot.img", bytes);
  const uint64_t before = store_.SettledStats().store.unique_bytes;
  const std::string block = random_.Bytes(4096);
  store_.OpenFile("disk.img").Write(64 * 4096, block);
  EXPECT_EQ(store_.SettledStats().store.unique_bytes, before + 4096);
  bytes.replace(64 * 4096, 4096, block);
  EXPECT_TRUE(store_.GetFile("disk.img") == bytes);
}

TEST_F(PolicyTest, SmallSyncedWritesAreChunkedLaterAndTheRecipeIsCanonical) {
  std::string bytes;
  {
    Handle log = store_.CreateFile("log");
    for (int i = 0; i < 60; ++i) {
      const std::string line = random_.Bytes(random_.Between(1, 4000));
      log.Write(bytes.size(), line);
      log.Fsync();
      bytes += line;
    }
    EXPECT_TRUE(log.ReadAll() == bytes);
  }
  store_.Settle();
  const auto stats = store_.fs().Stats();
  ASSERT_TRUE(IsOk(stats));
  EXPECT_EQ(stats->dirty_bytes, 0u);
  EXPECT_EQ(stats->store.logical_bytes, bytes.size()) << "everything is in packs";
  store_.PutFile("whole", bytes);
  store_.Settle();
  EXPECT_EQ(store_.Xattr("log", kContentId), store_.Xattr("whole", kContentId));
  EXPECT_TRUE(store_.GetFile("log") == bytes);
  store_.ExpectCleanCheck();
}

TEST_F(PolicyTest, RowsOfSmallSyncedWritesSurviveAReopenAndAreChunkedThen) {
  const std::string bytes = random_.Bytes(20000);
  {
    Handle file = store_.CreateFile("file");
    file.Write(0, bytes);
    file.Fsync();
  }
  store_.Reopen();
  EXPECT_TRUE(store_.GetFile("file") == bytes);
  store_.PutFile("whole", bytes);
  store_.Settle();
  EXPECT_EQ(store_.Xattr("file", kContentId), store_.Xattr("whole", kContentId));
  const auto stats = store_.fs().Stats();
  ASSERT_TRUE(IsOk(stats));
  EXPECT_EQ(stats->store.logical_bytes, 2 * bytes.size());
  EXPECT_EQ(stats->store.unique_bytes, bytes.size());
}

}  // namespace
}  // namespace dedupfs
