// A scrub names every file and range that damage touches, through the FileSystem.
#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr size_t kSize = 1 << 20;

ScrubStatus Scrub(TestStore& store) {
  const Status started = store.fs().StartScrub({});
  EXPECT_TRUE(IsOk(started));
  while (true) {
    const auto status = store.fs().WaitForScrub(std::chrono::seconds(10));
    EXPECT_TRUE(IsOk(status));
    if (!status || status->state != ScrubStatus::State::kRunning) {
      return status.value_or(ScrubStatus{});
    }
  }
}

// Of each path the ranges, over all portions.
std::map<std::string, std::vector<DamagedRange>> AllDamage(TestStore& store) {
  std::map<std::string, std::vector<DamagedRange>> all;
  std::optional<DamageCursor> cursor = DamageCursor{};
  while (cursor) {
    const auto found = store.fs().FindDamage(*cursor);
    EXPECT_TRUE(IsOk(found));
    if (!found) break;
    for (const DamagedFile& file : found->files) {
      auto& ranges = all[file.path];
      ranges.insert(ranges.end(), file.ranges.begin(), file.ranges.end());
    }
    cursor = found->next;
  }
  return all;
}

void RemovePacks(const TestStore& store) {
  const std::filesystem::path packs = store.directory() + "/packs";
  for (const auto& pack : std::filesystem::directory_iterator(packs)) {
    std::filesystem::remove(pack.path());
  }
}

TEST(ScrubTest, EveryRangeOfEveryFileThatDamageTouchesIsNamedAndNoOther) {
  Random random(TestSeed());
  TestStore store({.config = kQuietConfig});
  const std::string bytes = random.Bytes(kSize);
  store.PutFile("file", bytes);
  {
    // The same content behind a hole: other offsets, the same chunks.
    Handle shifted = store.CreateFile("shifted");
    shifted.Write(4 * kSize, bytes);
  }
  store.Settle();
  store.Close();
  RemovePacks(store);
  store.Open();
  store.PutFile("whole", random.Bytes(kSize));
  store.Settle();
  const ScrubStatus status = Scrub(store);
  EXPECT_EQ(status.state, ScrubStatus::State::kFinished);
  EXPECT_GT(status.record.last.damaged, 0u);
  const auto damage = AllDamage(store);
  ASSERT_EQ(damage.size(), 2u);
  const auto& plain = damage.at("/file");
  const auto& shifted = damage.at("/shifted");
  EXPECT_EQ(plain.size(), status.record.last.damaged);
  ASSERT_EQ(shifted.size(), plain.size());
  uint64_t end = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(plain[i].offset, end) << "all of the file is damaged";
    end += plain[i].length;
    EXPECT_EQ(shifted[i],
              (DamagedRange{plain[i].offset + 4 * kSize, plain[i].length, plain[i].chunk}));
  }
  EXPECT_EQ(end, kSize);
}

TEST(ScrubTest, TheSameContentHealsAndTheCountersTellIt) {
  Random random(TestSeed());
  TestStore store({.config = kQuietConfig});
  const std::string bytes = random.Bytes(kSize);
  store.PutFile("file", bytes);
  store.Settle();
  store.Close();
  RemovePacks(store);
  store.Open();
  const uint64_t damaged = Scrub(store).record.last.damaged;
  EXPECT_EQ(store.fs().Stats()->store.damaged_chunks, damaged);
  store.PutFile("again", bytes);
  store.Settle();
  EXPECT_EQ(store.fs().Stats()->store.damaged_chunks, 0u);
  EXPECT_EQ(store.fs().Stats()->store.healed_chunks, damaged);
  EXPECT_TRUE(AllDamage(store).empty());
  EXPECT_EQ(Scrub(store).record.last.damaged, 0u);
  EXPECT_TRUE(store.GetFile("file") == bytes);
  store.ExpectCleanCheck();
}

TEST(ScrubTest, DamagedChunksComeInPortions) {
  Random random(TestSeed());
  TestStore store({.config = kQuietConfig});
  store.PutFile("file", random.Bytes(kSize));
  store.Settle();
  store.Close();
  RemovePacks(store);
  store.Open();
  const uint64_t damaged = Scrub(store).record.last.damaged;
  uint64_t found = 0;
  std::optional<ChunkId> after = 0;
  while (after) {
    std::optional<ChunkId> next;
    const auto chunks = store.fs().DamagedChunks(*after, 7, next);
    ASSERT_TRUE(IsOk(chunks));
    EXPECT_LE(chunks->size(), 7u);
    for (const ChunkInfo& chunk : *chunks) EXPECT_TRUE(chunk.condemned && chunk.id > *after);
    found += chunks->size();
    after = next;
  }
  EXPECT_EQ(found, damaged);
}

TEST(ScrubTest, AReadOnlyStoreAndOneThatIsBeingClosedAreNotScrubbed) {
  TestStore store({.config = kQuietConfig});
  store.Close();
  store.Open({.read_only = true});
  EXPECT_EQ(CodeOf(store.fs().StartScrub({})), EROFS);
  store.Close();
  store.Open();
  store.fs().StopLongWork();
  EXPECT_EQ(CodeOf(store.fs().StartScrub({})), EINTR);
}

}  // namespace
}  // namespace dedupfs
