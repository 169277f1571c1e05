// What the cache of inode records keeps, and what it must refuse to keep.
#include "fs/namespace/inode_cache.h"

#include <atomic>
#include <thread>

#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

InodeRecord WithMode(uint32_t mode) {
  InodeRecord record;
  record.mode = mode;
  record.nlink = 1;
  return record;
}

TEST(InodeCacheTest, KeepsWhatWasOfferedSinceTheLastChange) {
  InodeCache cache;
  const auto first = cache.Find(7);
  EXPECT_EQ(first.record, nullptr);
  cache.Offer(7, first.ticket, WithMode(1));
  ASSERT_NE(cache.Find(7).record, nullptr);
  EXPECT_EQ(cache.Find(7).record->mode, 1u);
  EXPECT_EQ(cache.Find(7 + InodeCache::kSlots).record, nullptr);
}

TEST(InodeCacheTest, RefusesWhatWasReadBeforeAChangeEnded) {
  InodeCache cache;
  const auto before = cache.Find(7);
  cache.BeginChange(7);
  const auto during = cache.Find(7);
  cache.Offer(7, before.ticket, WithMode(1));
  cache.Offer(7, during.ticket, WithMode(1));
  EXPECT_EQ(cache.Find(7).record, nullptr);
  cache.EndChange(7, nullptr);
  cache.Offer(7, during.ticket, WithMode(1));
  EXPECT_EQ(cache.Find(7).record, nullptr);
  cache.Offer(7, cache.Find(7).ticket, WithMode(2));
  EXPECT_EQ(cache.Find(7).record->mode, 2u);
}

TEST(InodeCacheTest, ChangedRecordTakesTheOldOnesPlace) {
  InodeCache cache;
  cache.Offer(7, cache.Find(7).ticket, WithMode(1));
  cache.BeginChange(7);
  EXPECT_EQ(cache.Find(7).record, nullptr);
  const InodeRecord changed = WithMode(2);
  cache.EndChange(7, &changed);
  EXPECT_EQ(cache.Find(7).record->mode, 2u);
}

TEST(InodeCacheTest, OrphansAreNeverKept) {
  InodeCache cache;
  InodeRecord orphan = WithMode(1);
  orphan.nlink = 0;
  cache.Offer(7, cache.Find(7).ticket, orphan);
  EXPECT_EQ(cache.Find(7).record, nullptr);
  cache.Offer(7, cache.Find(7).ticket, WithMode(1));
  cache.BeginChange(7);
  cache.EndChange(7, &orphan);
  EXPECT_EQ(cache.Find(7).record, nullptr);
}

TEST(InodeCacheTest, ChangeOfOneInodeOfASlotSparesTheOther) {
  InodeCache cache;
  const Ino other = 7 + InodeCache::kSlots;
  cache.Offer(7, cache.Find(7).ticket, WithMode(1));
  cache.BeginChange(other);
  ASSERT_NE(cache.Find(7).record, nullptr);
  cache.EndChange(other, nullptr);
  EXPECT_EQ(cache.Find(7).record->mode, 1u);
}

using NamespaceCacheTest = NamespaceFixture;

// A reader must never go back in time, nor keep an old record after the change has returned.
TEST_F(NamespaceCacheTest, ReadersSeeEveryChangeThatHasReturned) {
  const Ino file = File(kRootIno, "f");
  SetOldTimes(file);
  std::atomic<Time> returned{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      Time last = 0;
      while (!stop) {
        const Time known = returned.load();
        const Time seen = Stat(file).atime;
        EXPECT_GE(seen, known);
        EXPECT_GE(seen, last);
        last = seen;
      }
    });
  }
  for (Time time = 1'000'000; time < 1'002'000; ++time) {
    AttributeChange change;
    change.atime = time;
    EXPECT_TRUE(ns_->SetAttributes(file, change, {}));
    returned = time;
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace dedupfs
