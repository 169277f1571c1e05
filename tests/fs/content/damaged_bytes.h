// What disks, crashes and attackers make of a row: the inputs that every parser must take.
//
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <string>

#include "tests/support/random.h"

namespace dedupfs {

// Calls `visit` with every proper prefix of `whole`.
template <typename Visit>
void ForEachTruncation(const std::string& whole, const Visit& visit) {
  for (size_t size = 0; size < whole.size(); ++size) visit(whole.substr(0, size));
}

// Calls `visit` with `whole` with one bit changed, for each of its bits.
template <typename Visit>
void ForEachFlippedBit(const std::string& whole, const Visit& visit) {
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    visit(damaged);
  }
}

// Calls `visit` with random bytes of all lengths up to 80, half of them after the first bytes of
// `whole`, so that they are not all refused by their version.
template <typename Visit>
void ForEachRandomValue(Random& random, const std::string& whole, const Visit& visit) {
  for (int round = 0; round < 20000; ++round) {
    const size_t kept = random.OneIn(2) ? random.Below(whole.size() + 1) : 0;
    visit(whole.substr(0, kept) + random.Bytes(random.Below(80)));
  }
}

}  // namespace dedupfs
