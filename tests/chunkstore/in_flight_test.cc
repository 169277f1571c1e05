#include "chunkstore/in_flight.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace dedupfs {
namespace {

using Kind = InFlight::ClaimKind;

Fingerprint Fp(uint8_t n) {
  Fingerprint fp;
  fp.bytes[0] = n;
  return fp;
}

ChunkRow RowOf(const Fingerprint& fp, PackId pack) {
  ChunkRow row;
  row.location = {pack, 16, 10};
  row.raw = 10;
  row.fingerprint = fp;
  return row;
}

void ResolveAs(InFlight& table, const InFlight::EntryPtr& entry, ChunkId id, uint8_t n,
               PackId pack = 1, bool pinned = false) {
  const std::vector<InFlight::Resolution> one = {{entry, id, RowOf(Fp(n), pack), pinned}};
  table.Resolve(one);
}

const std::vector<ChunkId> kSeven = {7};

TEST(InFlightTest, TheSecondClaimOfAFingerprintIsAnothers) {
  InFlight table;
  const auto first = table.Claim(Fp(1));
  EXPECT_EQ(first.kind, Kind::kMine);
  EXPECT_EQ(table.Claim(Fp(1)).kind, Kind::kOther);
  EXPECT_EQ(table.Claim(Fp(2)).kind, Kind::kMine);
}

TEST(InFlightTest, AResolvedEntryIsSharedUntilItsLastPinGoes) {
  InFlight table;
  ResolveAs(table, table.Claim(Fp(1)).entry, 7, 1);
  const auto shared = table.Claim(Fp(1));
  EXPECT_EQ(shared.kind, Kind::kShared);
  EXPECT_EQ(shared.id, 7u);
  table.Unpin(kSeven);
  EXPECT_TRUE(table.Find(7));
  table.Unpin(kSeven);
  EXPECT_FALSE(table.Find(7));
  EXPECT_EQ(table.Claim(Fp(1)).kind, Kind::kMine);
}

TEST(InFlightTest, AReleasedClaimWakesItsWaiterWhoMayClaim) {
  InFlight table;
  const auto mine = table.Claim(Fp(1));
  const auto other = table.Claim(Fp(1));
  std::thread waiter([&] {
    table.Wait(other.entry);
    EXPECT_EQ(table.Claim(Fp(1)).kind, Kind::kMine);
  });
  table.Release(mine.entry);
  waiter.join();
}

TEST(InFlightTest, ACommittedEntryIsForgottenButItsPinsStay) {
  InFlight table;
  const auto mine = table.Claim(Fp(1));
  ResolveAs(table, mine.entry, 7, 1);
  table.MarkCommitted(std::vector{mine.entry});
  EXPECT_FALSE(table.Find(7));
  EXPECT_EQ(table.entries(), 0u);
  EXPECT_FALSE(table.BeginDrop(1, kSeven));
  table.Unpin(kSeven);
  EXPECT_TRUE(table.BeginDrop(1, kSeven));
}

TEST(InFlightTest, NoPackIsDroppedWhileAnUncommittedRecordLiesInIt) {
  InFlight table;
  ResolveAs(table, table.Claim(Fp(1)).entry, 7, 1, 42);
  EXPECT_FALSE(table.BeginDrop(42, {}));
  EXPECT_TRUE(table.BeginDrop(43, {}));
}

TEST(InFlightTest, APinWaitsUntilADropHasEnded) {
  InFlight table;
  ASSERT_TRUE(table.BeginDrop(1, kSeven));
  std::atomic<bool> ended = false;
  std::thread pinner([&] {
    table.Pin(kSeven);
    EXPECT_TRUE(ended.load());
  });
  ended = true;
  table.EndDrop(kSeven);
  pinner.join();
  EXPECT_EQ(table.pinned(), 1u);
}

TEST(InFlightTest, WaitForAppendsDoesNotWaitForLaterOnes) {
  InFlight table;
  const uint64_t earlier = table.BeginAppend();
  std::atomic<bool> ended = false;
  std::thread waiter([&] {
    table.WaitForAppends();
    EXPECT_TRUE(ended.load());
  });
  ended = true;
  table.EndAppend(earlier);
  waiter.join();
  table.WaitForAppends();
}

TEST(InFlightTest, ADamagedUncommittedRecordIsClaimedAgainUnderItsId) {
  InFlight table;
  ResolveAs(table, table.Claim(Fp(1)).entry, 7, 1);
  table.Condemn(7, {99, 16, 10});
  EXPECT_EQ(table.Claim(Fp(1)).kind, Kind::kShared) << "another record was condemned";
  table.Condemn(7, {1, 16, 10});
  const auto again = table.Claim(Fp(1));
  ASSERT_EQ(again.kind, Kind::kMine);
  EXPECT_EQ(again.id, 7u);
  ResolveAs(table, again.entry, 7, 1, 5, true);
  EXPECT_EQ(table.Find(7)->location.pack, 5u);
  EXPECT_EQ(table.Claim(Fp(1)).kind, Kind::kShared);
}

TEST(InFlightTest, AFailedRewriteLeavesTheDamagedEntryAsItWas) {
  InFlight table;
  ResolveAs(table, table.Claim(Fp(1)).entry, 7, 1);
  table.Condemn(7, {1, 16, 10});
  const auto again = table.Claim(Fp(1));
  table.Release(again.entry);
  table.Unpin(kSeven);
  EXPECT_TRUE(table.Find(7));
  EXPECT_EQ(table.Claim(Fp(1)).id, 7u);
}

TEST(InFlightTest, ACommitOfAnOlderRecordKeepsTheNewerOnePending) {
  InFlight table;
  const auto old_claim = table.Claim(Fp(1));
  ResolveAs(table, old_claim.entry, 7, 1);
  table.Condemn(7, {1, 16, 10});
  const auto again = table.Claim(Fp(1));
  ResolveAs(table, again.entry, 7, 1, 5, true);
  table.MarkCommitted(std::vector{old_claim.entry});
  ASSERT_TRUE(table.Find(7));
  EXPECT_EQ(table.Find(7)->location.pack, 5u);
}

}  // namespace
}  // namespace dedupfs
