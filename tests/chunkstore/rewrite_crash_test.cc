#include <gtest/gtest.h>

#include "tests/chunkstore/rewrite_fixture.h"

namespace dedupfs {
namespace {

class RewriteCrashTest : public RewriteFixture {};

TEST_F(RewriteCrashTest, APowerCutAtEveryCallOfTheDiskLeavesEveryRowReadable) {
  uint64_t step = 1;
  for (bool hit = true; hit && !HasFailure(); ++step) {
    ASSERT_LT(step, 300u) << "the rewriting never gets through";
    const auto texts = Texts(6, 2000);
    const auto ids = Add(texts);
    ASSERT_TRUE(Count({ids[1]}, -1));
    FaultEnv::Fault fault;
    fault.nth = step;
    fault.sticky = true;
    fault.short_append = step % 2 == 0;
    const uint64_t calls = env_.Calls();
    env_.Inject(fault);
    const auto report = store_->Recompress({});
    hit = env_.Calls() - calls >= step;
    EXPECT_TRUE(report || hit) << report.error().message;
    env_.ClearFaults();
    PowerCut(step % 3 == 0 ? &random_ : nullptr);
    EXPECT_EQ(Problems(), std::vector<std::string>()) << "after step " << step;
    std::vector<ChunkId> live;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i == 1) continue;
      ExpectContent(ids[i], texts[i]);
      live.push_back(ids[i]);
    }
    ASSERT_TRUE(Count(live, -1));
    ASSERT_TRUE(store_->Reclaim());
  }
  EXPECT_GT(step, 10u);
}

TEST_F(RewriteCrashTest, AMoveThatIsNotDurableIsTakenBackWithItsOldPackInPlace) {
  const auto texts = Texts(6, 2000);
  const auto ids = Add(texts);
  // The drop of the old pack is what makes the moves durable; a damaged chunk in it prevents that.
  const Location old = Info(ids[1]).location;
  Flip(ids[0]);
  EXPECT_EQ(Recompress().packs, 1u);
  EXPECT_NE(Info(ids[1]).location, old);
  Flip(ids[0]);
  PowerCut();
  ExpectSound();
  EXPECT_EQ(Info(ids[1]).location, old);
  ExpectContents(ids, texts);
  Recompress();
  ExpectContents(ids, texts);
  ExpectSound();
}

}  // namespace
}  // namespace dedupfs
