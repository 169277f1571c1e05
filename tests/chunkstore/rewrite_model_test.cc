#include <gtest/gtest.h>

#include <map>

#include "tests/chunkstore/rewrite_fixture.h"

namespace dedupfs {
namespace {

// Random histories, held against a map from contents to counts.
class RewriteModelTest : public RewriteFixture {
 protected:
  void Write() {
    std::vector<std::string> contents;
    for (uint64_t n = random_.Between(1, 8); n > 0; --n) {
      if (!counts_.empty() && random_.OneIn(2)) {
        contents.push_back(Any()->first);
      } else if (random_.OneIn(4)) {
        contents.push_back(random_.Bytes(random_.Between(1, 3000)));
      } else {
        contents.push_back(Text(random_.Between(1, 3000)));
      }
    }
    const auto ids = Add(contents, random_.OneIn(2) ? Durability::kSynced : Durability::kBuffered);
    ASSERT_EQ(ids.size(), contents.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      Line& line = counts_[contents[i]];
      line.id = ids[i];
      ++line.count;
    }
  }

  void Delete() {
    for (int n = 0; n < 4 && !counts_.empty(); ++n) {
      const auto line = Any();
      ASSERT_TRUE(Count({line->second.id}, -1));
      if (--line->second.count == 0) counts_.erase(line);
    }
  }

  void Compare() {
    std::map<ChunkId, uint64_t> by_id;
    uint64_t logical = 0;
    for (const auto& [content, line] : counts_) {
      ExpectContent(line.id, content);
      by_id[line.id] = line.count;
      logical += content.size() * line.count;
    }
    const std::vector<std::pair<ChunkId, uint64_t>> counts(by_id.begin(), by_id.end());
    EXPECT_EQ(Problems(&counts), std::vector<std::string>());
    const auto stats = store_->Stats();
    ASSERT_TRUE(stats);
    EXPECT_EQ(stats->chunks, counts_.size());
    EXPECT_EQ(stats->logical_bytes, logical);
  }

 private:
  struct Line {
    ChunkId id = 0;
    uint64_t count = 0;
  };
  std::map<std::string, Line>::iterator Any() {
    return std::next(counts_.begin(), static_cast<int64_t>(random_.Below(counts_.size())));
  }
  std::map<std::string, Line> counts_;
};

TEST_F(RewriteModelTest, RandomHistoriesAgreeWithTheModel) {
  for (int step = 0; step < 400 && !HasFailure(); ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    switch (random_.Below(10)) {
      case 0:
        Recompress();
        break;
      case 1:
        ASSERT_TRUE(store_->Reclaim());
        break;
      case 2:
        if (random_.OneIn(3)) Reopen();
        break;
      case 3:
        ASSERT_TRUE(store_->SyncLog());
        if (random_.OneIn(3)) PowerCut(&random_);
        break;
      case 4:
        Compare();
        break;
      case 5:
      case 6:
        Delete();
        break;
      default:
        Write();
        break;
    }
  }
  Recompress();
  Compare();
  EXPECT_EQ(Recompress().packs, 0u);
}

}  // namespace
}  // namespace dedupfs
