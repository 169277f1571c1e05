#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <thread>

#include "tests/chunkstore/rewrite_fixture.h"

namespace dedupfs {
namespace {

class RewriteThreadsTest : public RewriteFixture {};

TEST_F(RewriteThreadsTest, IsSafeBesideReadersAndWritersOfTheSameContent) {
  const auto texts = Texts(24, 1500);
  const auto kept = Add({texts.begin(), texts.begin() + 12});
  constexpr int kThreads = 3;
  constexpr int kRounds = 60;
  std::vector<uint64_t> seeds(kThreads);
  for (uint64_t& seed : seeds) seed = random_.Next();
  std::atomic<int> running = kThreads;
  std::vector<std::thread> threads;
  threads.reserve(kThreads + 2);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(seeds[static_cast<size_t>(t)]);
      for (int round = 0; round < kRounds && !HasFailure(); ++round) {
        std::vector<std::string> mine;
        for (uint64_t n = random.Between(1, 4); n > 0; --n) {
          mine.push_back(texts[random.Below(texts.size())]);
        }
        const auto ids = Add(mine, Durability::kBuffered);
        for (size_t i = 0; i < ids.size(); ++i) ExpectContent(ids[i], mine[i]);
        const Status dropped = Count(ids, -1, Durability::kBuffered);
        EXPECT_TRUE(dropped) << dropped.error().message;
      }
      --running;
    });
  }
  threads.emplace_back([&] {
    std::string out(size_t{12} * 1500, '\0');
    std::vector<ChunkStore::ReadItem> items;
    for (size_t i = 0; i < 12; ++i) {
      items.push_back({kept[i], 0, {reinterpret_cast<std::byte*>(out.data()) + i * 1500, 1500}});
    }
    while (running > 0) {
      const Status read = store_->ReadMany(items);
      EXPECT_TRUE(read) << read.error().message;
      for (size_t i = 0; i < 12; ++i) EXPECT_TRUE(out.substr(i * 1500, 1500) == texts[i]);
    }
  });
  std::atomic<uint64_t> rewritten = 0;
  threads.emplace_back([&] {
    while (running > 0) rewritten += Recompress().packs;
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(rewritten, 0u);
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_FALSE(Info(kept[i]).condemned);
    ExpectContent(kept[i], texts[i]);
  }
  std::vector<std::pair<ChunkId, uint64_t>> counts;
  counts.reserve(kept.size());
  for (ChunkId id : kept) counts.emplace_back(id, 1);
  std::sort(counts.begin(), counts.end());
  EXPECT_EQ(Problems(&counts), std::vector<std::string>());
}

TEST_F(RewriteThreadsTest, ChunksThatChangeBetweenReadingAndMovingAreLeftAlone) {
  const auto texts = Texts(10, 3000);
  const auto ids = Add(texts);
  const Location old = Info(ids[0]).location;
  const auto damage_or_repair = [&](const Location& at) {
    ASSERT_TRUE(env_.FlipBit(PackPath(at.pack), at.offset + kRecordHeaderSize + 3, 5));
  };
  const Location condemned = Info(ids[2]).location;
  const Location replaced = Info(ids[3]).location;
  Location replacement;
  int asked = 0;
  const auto meddle = [&] {
    if (++asked != 2) return false;  // for the first slice, whose rows are read by then
    EXPECT_TRUE(Count({ids[1]}, -1));
    damage_or_repair(condemned);
    damage_or_repair(replaced);
    EXPECT_FALSE(ReadBack(ids[2], texts[2].size()));
    EXPECT_FALSE(ReadBack(ids[3], texts[3].size()));
    EXPECT_EQ(Add({texts[3]})[0], ids[3]);
    replacement = Info(ids[3]).location;
    damage_or_repair(condemned);
    damage_or_repair(replaced);
    return false;
  };
  const auto report = store_->Recompress(meddle);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GE(asked, 2);
  EXPECT_NE(replacement, replaced);
  EXPECT_EQ(Info(ids[1]).location.pack, old.pack) << "dead";
  EXPECT_EQ(Info(ids[2]).location, condemned);
  EXPECT_TRUE(Info(ids[2]).condemned);
  EXPECT_EQ(Info(ids[3]).location, replacement);
  EXPECT_NE(Info(ids[0]).location, old);
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(RewriteThreadsTest, TwoAtOnceDoTheWorkOnce) {
  const auto texts = Texts(20, 3000);
  const auto ids = Add(texts);
  std::atomic<uint64_t> packs = 0;
  std::thread other([&] { packs += Recompress().packs; });
  packs += Recompress().packs;
  other.join();
  EXPECT_EQ(packs, 1u);
  ExpectContents(ids, texts);
  ExpectSound();
}

// Tells when the thread has asked for the idle share so often.
class AskedFor {
 public:
  double Answer(double share) {
    MutexLock lock(mutex_);
    ++times_;
    changed_.NotifyAll();
    return share;
  }
  void WaitForMore(uint64_t more) {
    MutexLock lock(mutex_);
    const uint64_t target = times_ + more;
    while (times_ < target) changed_.Wait(lock);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  uint64_t times_ GUARDED_BY(mutex_) = 0;
};

class BackgroundRewriteTest : public RewriteFixture {
 protected:
  void Restart(double idle_share) {
    options_.recompress = true;
    options_.recompress_after_quiet = std::chrono::milliseconds(1);
    options_.idle_share = [this, idle_share] { return asked_.Answer(idle_share); };
    Reopen();
  }
  ~BackgroundRewriteTest() override { store_.reset(); }

  AskedFor asked_;
};

TEST_F(BackgroundRewriteTest, SealedPacksAreRewrittenWhileTheCoresIdle) {
  const auto texts = Texts(20, 3000);
  const auto ids = Add(texts);
  Restart(1.0);
  while (CodecOf(ids.back()) != Codec::kZstd && !HasFailure()) std::this_thread::yield();
  for (ChunkId id : ids) EXPECT_EQ(CodecOf(id), Codec::kZstd);
  ExpectContents(ids, texts);
  ExpectSound();
}

TEST_F(BackgroundRewriteTest, NothingIsRewrittenWhileTheCoresAreBusy) {
  const auto ids = Add(Texts(20, 3000));
  Restart(0.49);
  asked_.WaitForMore(3);  // the third comes after what the second might have started
  EXPECT_EQ(CodecOf(ids[0]), Codec::kLz4);
}

TEST_F(BackgroundRewriteTest, AnErrorEndsTheAttemptAndNotTheStoreAndAUseBringsTheNext) {
  const auto texts = Texts(20, 3000);
  const auto ids = Add(texts);
  store_.reset();
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kCreate;
  fault.code = ENOSPC;
  fault.sticky = true;
  const uint64_t creates = env_.Calls(FaultEnv::Op::kCreate);
  env_.Inject(fault);
  Restart(1.0);
  while (env_.Calls(FaultEnv::Op::kCreate) == creates) std::this_thread::yield();
  EXPECT_TRUE(store_->Failure());
  ExpectContents(ids, texts);
  EXPECT_EQ(CodecOf(ids[0]), Codec::kLz4);
  env_.ClearFaults();
  ASSERT_TRUE(store_->Commit(Batch(), {}, Durability::kBuffered));
  while (CodecOf(ids[0]) != Codec::kZstd && !HasFailure()) std::this_thread::yield();
  ExpectContents(ids, texts);
  ExpectSound();
}

}  // namespace
}  // namespace dedupfs
