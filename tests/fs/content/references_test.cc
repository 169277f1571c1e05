#include "fs/references.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace dedupfs {
namespace {

constexpr Ino kIno = 99;

TEST(ReferencesTest, OrphanThatNobodyHoldsIsPurgedAtOnce) {
  References references;
  EXPECT_FALSE(references.IsHeld(kIno));
  EXPECT_TRUE(references.MarkOrphan(kIno));
  EXPECT_FALSE(references.IsHeld(kIno));
}

TEST(ReferencesTest, OrphanIsPurgedWithItsLastLookUp) {
  References references;
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_FALSE(references.MarkOrphan(kIno));
  EXPECT_FALSE(references.DropLookups(kIno, 2));
  EXPECT_TRUE(references.IsHeld(kIno));
  EXPECT_TRUE(references.DropLookups(kIno, 1));
}

TEST(ReferencesTest, OpenHandleKeepsAnOrphanThatTheKernelForgot) {
  References references;
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_TRUE(references.AddOpen(kIno));
  EXPECT_FALSE(references.MarkOrphan(kIno));
  EXPECT_FALSE(references.DropLookups(kIno, 1));
  EXPECT_TRUE(references.DropOpen(kIno));
}

TEST(ReferencesTest, LookUpKeepsAnOrphanThatIsClosed) {
  References references;
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_TRUE(references.AddOpen(kIno));
  EXPECT_FALSE(references.MarkOrphan(kIno));
  EXPECT_FALSE(references.DropOpen(kIno));
  EXPECT_TRUE(references.DropLookups(kIno, 1));
}

TEST(ReferencesTest, InodeThatHasANameIsNeverPurged) {
  References references;
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_TRUE(references.AddOpen(kIno));
  EXPECT_FALSE(references.DropOpen(kIno));
  EXPECT_FALSE(references.DropLookups(kIno, 1));
  EXPECT_FALSE(references.IsHeld(kIno));
}

TEST(ReferencesTest, NobodyComesToHoldWhatIsBeingPurged) {
  References references;
  ASSERT_TRUE(references.MarkOrphan(kIno));
  EXPECT_FALSE(references.AddLookup(kIno));
  EXPECT_FALSE(references.AddOpen(kIno));
  EXPECT_FALSE(references.DropOpen(kIno));
  EXPECT_FALSE(references.DropLookups(kIno, 1)) << "purged twice";
  EXPECT_FALSE(references.MarkOrphan(kIno)) << "purged twice";
  EXPECT_FALSE(references.IsHeld(kIno));
  references.Purged(kIno);
  EXPECT_FALSE(references.IsHeld(kIno));
}

TEST(ReferencesTest, ReferencesGivenBackTooOftenAreNoHarm) {
  References references;
  EXPECT_FALSE(references.DropLookups(kIno, 5));
  EXPECT_FALSE(references.DropOpen(kIno));
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_TRUE(references.AddOpen(kIno));
  EXPECT_FALSE(references.MarkOrphan(kIno));
  EXPECT_FALSE(references.DropLookups(kIno, UINT64_MAX));
  EXPECT_FALSE(references.DropLookups(kIno, 1));
  EXPECT_TRUE(references.DropOpen(kIno));
  EXPECT_FALSE(references.DropOpen(kIno));
}

TEST(ReferencesTest, InodesOfOneShardDoNotMix) {
  References references;
  EXPECT_TRUE(references.AddOpen(kIno));
  EXPECT_TRUE(references.MarkOrphan(kIno + 16));
  EXPECT_TRUE(references.IsHeld(kIno));
  EXPECT_TRUE(references.AddLookup(kIno));
  EXPECT_FALSE(references.MarkOrphan(kIno));
}

TEST(ReferencesTest, OneOfManyThreadsIsToldToPurge) {
  constexpr int kThreads = 8;
  constexpr Ino kInodes = 2000;
  References references;
  for (Ino ino = 1; ino <= kInodes; ++ino) {
    for (int i = 0; i < kThreads; ++i) ASSERT_TRUE(references.AddOpen(ino));
    ASSERT_FALSE(references.MarkOrphan(ino));
  }
  std::vector<std::atomic<int>> told(kInodes + 1);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (Ino ino = 1; ino <= kInodes; ++ino) {
        if (references.DropOpen(ino)) ++told[ino];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Ino ino = 1; ino <= kInodes; ++ino) EXPECT_EQ(told[ino], 1) << ino;
}

}  // namespace
}  // namespace dedupfs
