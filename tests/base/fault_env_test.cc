#include "tests/support/fault_env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

using Op = FaultEnv::Op;

class FaultEnvTest : public testing::Test {
 protected:
  static Status Append(File& file, const std::string& content) {
    const std::vector<Bytes> pieces{AsBytes(content)};
    return file.Append(pieces);
  }
  std::unique_ptr<File> Made(const std::string& path, const std::string& content) {
    Result<std::unique_ptr<File>> file = env_.Create(path);
    EXPECT_TRUE(file);
    EXPECT_TRUE(Append(**file, content));
    return std::move(*file);
  }
  // What the file holds, nothing if there is none.
  std::optional<std::string> Content(const std::string& path) {
    Result<std::string> content = env_.ReadAll(path, 1 << 20);
    if (!content) return std::nullopt;
    return *content;
  }

  FaultEnv env_;
};

TEST_F(FaultEnvTest, TheNthCallFailsOnceWithTheCodeAskedFor) {
  const auto file = Made("/a", "");
  env_.Inject({.op = Op::kAppend, .nth = 2, .code = ENOSPC});
  EXPECT_TRUE(Append(*file, "one"));
  EXPECT_TRUE(file->Sync());
  const Status failed = Append(*file, "two");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ENOSPC);
  EXPECT_TRUE(Append(*file, "three"));
  EXPECT_EQ(Content("/a"), "onethree");
}

TEST_F(FaultEnvTest, AFaultOfNoKindHitsAnyCall) {
  env_.Inject({.nth = 2, .sticky = true});
  EXPECT_TRUE(env_.MakeDir("/d"));
  EXPECT_FALSE(env_.Space("/"));
  EXPECT_FALSE(env_.Create("/a"));
  EXPECT_FALSE(env_.List("/"));
  env_.ClearFaults();
  EXPECT_THAT(*env_.List("/"), testing::ElementsAre("d"));
}

TEST_F(FaultEnvTest, AShortAppendLeavesHalfOfTheBytes) {
  const auto file = Made("/a", "");
  env_.Inject({.op = Op::kAppend, .code = EIO, .short_append = true});
  EXPECT_FALSE(Append(*file, "12345678"));
  EXPECT_EQ(Content("/a"), "1234");
}

TEST_F(FaultEnvTest, CallsAreCountedByKind) {
  const auto file = Made("/a", "x");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(file->Sync());
  EXPECT_EQ(env_.Calls(Op::kCreate), 1U);
  EXPECT_EQ(env_.Calls(Op::kSync), 2U);
  EXPECT_EQ(env_.Calls(Op::kRename), 0U);
  EXPECT_EQ(env_.Calls(), 4U);
}

TEST_F(FaultEnvTest, APowerCutDropsUnsyncedContent) {
  const auto file = Made("/a", "synced");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(env_.SyncDir("/"));
  ASSERT_TRUE(Append(*file, "lost"));
  env_.PowerCut();
  EXPECT_EQ(Content("/a"), "synced");
}

TEST_F(FaultEnvTest, APowerCutDropsUnsyncedNames) {
  const auto file = Made("/a", "synced");
  ASSERT_TRUE(file->Sync());
  env_.PowerCut();
  EXPECT_EQ(Content("/a"), std::nullopt);
}

TEST_F(FaultEnvTest, APowerCutTakesBackAnUnsyncedRemove) {
  const auto file = Made("/a", "synced");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(env_.SyncDir("/"));
  ASSERT_TRUE(env_.Remove("/a"));
  env_.PowerCut();
  EXPECT_EQ(Content("/a"), "synced");
}

TEST_F(FaultEnvTest, APowerCutTakesBackAnUnsyncedRename) {
  ASSERT_TRUE(env_.ReplaceFile("/", "f", "old"));
  const auto file = Made("/g", "new");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(env_.Rename("/g", "/f"));
  env_.PowerCut();
  EXPECT_EQ(Content("/f"), "old");
}

TEST_F(FaultEnvTest, NamesBelowAnUnsyncedDirectoryAreLostWithIt) {
  ASSERT_TRUE(env_.MakeDir("/d"));
  const auto file = Made("/d/a", "x");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(env_.SyncDir("/d"));
  env_.PowerCut();
  EXPECT_TRUE(env_.List("/")->empty());
}

TEST_F(FaultEnvTest, FilesThatWereOpenAreDeadAfterAPowerCut) {
  const auto file = Made("/a", "x");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(env_.SyncDir("/"));
  env_.PowerCut();
  EXPECT_FALSE(Append(*file, "late"));
  EXPECT_FALSE(file->Sync());
  EXPECT_FALSE(file->Size());
  EXPECT_EQ(Content("/a"), "x");
}

TEST_F(FaultEnvTest, AFailedSyncIsNeverFollowedByAGoodOne) {
  const auto file = Made("/a", "x");
  ASSERT_TRUE(env_.SyncDir("/"));
  env_.Inject({.op = Op::kSync});
  EXPECT_FALSE(file->Sync());
  EXPECT_FALSE(file->Sync());
  env_.PowerCut();
  EXPECT_EQ(Content("/a"), "");
}

TEST_F(FaultEnvTest, ATornTailIsAPrefixInSectors) {
  Random random(TestSeed());
  const std::string content = random.Bytes(5000);
  std::set<uint64_t> sizes;
  for (int round = 0; round < 200; ++round) {
    FaultEnv env;
    Result<std::unique_ptr<File>> file = env.Create("/a");
    ASSERT_TRUE(file);
    ASSERT_TRUE(Append(**file, content.substr(0, 100)));
    ASSERT_TRUE((*file)->Sync());
    ASSERT_TRUE(env.SyncDir("/"));
    ASSERT_TRUE(Append(**file, content.substr(100)));
    env.PowerCut(&random);
    const std::string kept = env.ReadAll("/a", 1 << 20).value();
    EXPECT_EQ(kept, content.substr(0, kept.size()));
    EXPECT_TRUE((kept.size() - 100) % 512 == 0 || kept.size() == content.size()) << kept.size();
    sizes.insert(kept.size());
  }
  EXPECT_GT(sizes.size(), 3U);
}

TEST_F(FaultEnvTest, ReplaceFileIsOldOrNewWhereverTheDiskFails) {
  Random random(TestSeed());
  for (uint64_t nth = 1;; ++nth) {
    FaultEnv env;
    ASSERT_TRUE(env.ReplaceFile("/", "f", "old"));
    env.Inject({.nth = nth, .sticky = true});
    const Status replaced = env.ReplaceFile("/", "f", "new");
    env.PowerCut(random.OneIn(2) ? &random : nullptr);
    const std::string content = env.ReadAll("/f", 100).value();
    if (replaced) {
      EXPECT_EQ(content, "new");
      EXPECT_GT(nth, 5U);
      break;
    }
    EXPECT_THAT(content, testing::AnyOf("old", "new")) << nth;
    ASSERT_TRUE(env.ReplaceFile("/", "f", "again")) << nth;
  }
}

TEST_F(FaultEnvTest, AFlippedBitStaysFlipped) {
  const auto file = Made("/a", "abc");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(env_.SyncDir("/"));
  ASSERT_TRUE(env_.FlipBit("/a", 1, 0));
  EXPECT_EQ(Content("/a"), "acc");
  env_.PowerCut();
  EXPECT_EQ(Content("/a"), "acc");
  EXPECT_FALSE(env_.FlipBit("/a", 3, 0));
}

TEST_F(FaultEnvTest, TruncateCutsTheFileOnTheDisk) {
  const auto file = Made("/a", "abcdef");
  ASSERT_TRUE(file->Sync());
  ASSERT_TRUE(env_.SyncDir("/"));
  ASSERT_TRUE(env_.Truncate("/a", 2));
  env_.PowerCut();
  EXPECT_EQ(Content("/a"), "ab");
}

TEST_F(FaultEnvTest, SpaceIsWhatTheTestSays) {
  env_.SetSpace({.total = 100, .free = 7, .available = 5, .files = 3, .files_free = 1});
  EXPECT_EQ(env_.Space("/")->available, 5U);
}

}  // namespace
}  // namespace dedupfs
