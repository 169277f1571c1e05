// Random numbers that a seed repeats, with every standard library.
//
// Thread safety: one thread at a time for each SeededRandom.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

namespace dedupfs {

class SeededRandom {
 public:
  explicit SeededRandom(uint64_t seed) : engine_(seed) {}

  uint64_t Next() { return engine_(); }
  // Below `bound`, which is not 0. (The standard's distributions differ between libraries.)
  uint64_t Below(uint64_t bound) { return engine_() % bound; }
  uint64_t Between(uint64_t low, uint64_t high) { return low + Below(high - low + 1); }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  // Incompressible bytes.
  std::string Bytes(size_t size) {
    std::string out(size, '\0');
    uint64_t word = 0;
    for (size_t i = 0; i < size; ++i) {
      if (i % 8 == 0) word = engine_();
      out[i] = static_cast<char>(static_cast<uint8_t>(word >> (8 * (i % 8))));
    }
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace dedupfs
