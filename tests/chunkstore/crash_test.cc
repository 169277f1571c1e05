#include <gtest/gtest.h>

#include <map>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

class CrashTest : public StoreTest {
 protected:
  // Rows that a power cut left are all readable, and nothing is out of step.
  void ExpectSound(const std::string& when) {
    EXPECT_EQ(Problems(), std::vector<std::string>()) << when;
  }

  // Stores, counts, uncounts and reclaims; false once something failed.
  bool Work(Random& random, std::map<ChunkId, std::string>& synced) {
    std::vector<std::string> contents;
    for (int i = 0; i < 4; ++i) contents.push_back(random.Bytes(random.Between(1, 900)));
    for (int round = 0; round < 3; ++round) {
      contents.push_back(random.Bytes(random.Between(1, 900)));
      Pins pins;
      const auto ids = StoreAll(contents, pins);
      if (!ids) return false;
      if (!Count(*ids, 1, Durability::kBuffered)) return false;
      if (!Count({}, 0, Durability::kSynced)) return false;
      for (size_t i = 0; i < ids->size(); ++i) synced[(*ids)[i]] = contents[i];
    }
    const auto dead = Dying(random);
    if (dead.empty() || !Count(dead, -1)) return false;
    return static_cast<bool>(store_->Reclaim());
  }

  std::vector<ChunkId> Dying(Random& random) {
    Pins pins;
    const auto ids = StoreAll({random.Bytes(500)}, pins);
    if (!ids || !Count(*ids, 1)) return {};
    return *ids;
  }
};

TEST_F(CrashTest, WhatWasSyncedSurvivesAndWhatWasNotIsLostWithoutRepeatingAnId) {
  Random random(TestSeed());
  const std::string kept = random.Bytes(1000);
  const std::string lost = random.Bytes(1000);
  const auto kept_ids = Add({kept});
  const auto lost_ids = Add({lost}, Durability::kBuffered);
  PowerCut();
  ExpectContent(kept_ids.front(), kept);
  EXPECT_FALSE(ReadBack(lost_ids.front(), lost.size()));
  const auto again = Add({lost});
  EXPECT_GT(again.front(), lost_ids.front());
  ExpectContent(again.front(), lost);
  ExpectSound("at the end");
}

TEST_F(CrashTest, ASyncedCommitMakesEarlierBufferedOnesDurable) {
  Random random(TestSeed());
  const std::string first = random.Bytes(1000);
  const auto ids = Add({first}, Durability::kBuffered);
  ASSERT_TRUE(store_->Commit(Batch(), {}, Durability::kSynced));
  PowerCut();
  ExpectContent(ids.front(), first);
}

TEST_F(CrashTest, SyncLogMakesEarlierBufferedCommitsDurable) {
  Random random(TestSeed());
  const std::string first = random.Bytes(1000);
  const auto ids = Add({first}, Durability::kBuffered);
  ASSERT_TRUE(store_->SyncLog());
  PowerCut();
  ExpectContent(ids.front(), first);
}

TEST_F(CrashTest, APowerCutAtEveryCallOfTheDiskLeavesEveryRowReadable) {
  const uint64_t seed = TestSeed();
  uint64_t steps = 0;
  for (uint64_t step = 1;; ++step, ++steps) {
    ASSERT_LT(step, 300u) << "the workload never gets through";
    Random random(seed + step);
    std::map<ChunkId, std::string> synced;
    FaultEnv::Fault fault;
    fault.nth = step;
    fault.sticky = true;
    fault.short_append = step % 2 == 0;
    env_.Inject(fault);
    const bool through = Work(random, synced);
    env_.ClearFaults();
    PowerCut(step % 3 == 0 ? &random : nullptr);
    ExpectSound("after step " + std::to_string(step));
    for (const auto& [id, content] : synced) ExpectContent(id, content);
    if (through) break;
    if (HasFailure()) break;
  }
  EXPECT_GT(steps, 10u);
}

}  // namespace
}  // namespace dedupfs
