// A chunk store of several packs, and short ways to scrub it.
#pragma once

#include <chrono>
#include <set>
#include <vector>

#include "tests/chunkstore/rewrite_fixture.h"

namespace dedupfs {

class ScrubFixture : public RewriteFixture {
 protected:
  ScrubStatus Wait() {
    while (true) {
      const auto status = store_->WaitForScrub(std::chrono::seconds(10));
      EXPECT_TRUE(status) << status.error().message;
      if (!status || status->state != ScrubStatus::State::kRunning)
        return status.value_or(ScrubStatus{});
    }
  }

  ScrubStatus Scrub(const ScrubOptions& options = {}) {
    const Status started = store_->StartScrub(options);
    EXPECT_TRUE(started) << started.error().message;
    return Wait();
  }

  // A scrub that comes to its end; how many chunks it found damaged.
  uint64_t DamagedBy(const ScrubOptions& options = {}) {
    const ScrubStatus status = Scrub(options);
    EXPECT_EQ(status.state, ScrubStatus::State::kFinished) << status.error;
    EXPECT_FALSE(status.record.under_way);
    return status.record.last.damaged;
  }

  std::vector<ChunkId> Damaged() {
    const auto ids = store_->DamagedChunks(0, 1000);
    EXPECT_TRUE(ids) << ids.error().message;
    return ids.value_or(std::vector<ChunkId>{});
  }

  // Each of the contents in a pack of its own.
  std::vector<ChunkId> AddInPacks(const std::vector<std::string>& contents) {
    std::vector<ChunkId> ids;
    for (const std::string& content : contents) {
      ids.push_back(Add({content}).at(0));
      Reopen();
    }
    return ids;
  }

  PackId PackOf(ChunkId id) { return Info(id).location.pack; }
};

}  // namespace dedupfs
