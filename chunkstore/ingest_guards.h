// What a Store holds in the in-flight table, given back on every way out.
//
// Thread safety: one thread at a time for each guard.
// Ownership:     borrow the InFlight, which outlives them.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "chunkstore/in_flight.h"

namespace dedupfs {

// Pins that go unless they are kept.
class PinGuard {
 public:
  explicit PinGuard(InFlight& in_flight) : in_flight_(in_flight) {}
  PinGuard(const PinGuard&) = delete;
  PinGuard& operator=(const PinGuard&) = delete;
  ~PinGuard() { in_flight_.Unpin(ids_); }
  void Add(ChunkId id) { ids_.push_back(id); }
  std::vector<ChunkId> Keep() { return std::exchange(ids_, {}); }

 private:
  InFlight& in_flight_;
  std::vector<ChunkId> ids_;
};

class ClaimGuard {
 public:
  explicit ClaimGuard(InFlight& in_flight) : in_flight_(in_flight) {}
  ClaimGuard(const ClaimGuard&) = delete;
  ClaimGuard& operator=(const ClaimGuard&) = delete;
  ~ClaimGuard() {
    for (const InFlight::EntryPtr& claim : claims_) in_flight_.Release(claim);
  }
  void Add(InFlight::EntryPtr claim) { claims_.push_back(std::move(claim)); }

 private:
  InFlight& in_flight_;
  std::vector<InFlight::EntryPtr> claims_;
};

class AppendGuard {
 public:
  explicit AppendGuard(InFlight& in_flight)
      : in_flight_(in_flight), ticket_(in_flight.BeginAppend()) {}
  AppendGuard(const AppendGuard&) = delete;
  AppendGuard& operator=(const AppendGuard&) = delete;
  ~AppendGuard() { in_flight_.EndAppend(ticket_); }

 private:
  InFlight& in_flight_;
  const uint64_t ticket_;
};

}  // namespace dedupfs
