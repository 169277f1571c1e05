// 64 positions a step: four loads, each one byte further on than the one before, hold the four
// bytes before all of them. A step costs four multiplications and one comparison with the least
// hash so far; only the few steps that lower it look for the position.

#include "chunkstore/chunking/chunker_kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>

namespace dedupfs {
namespace {

constexpr size_t kStep = 64;

// Lane i of hash[k] belongs to the position 4 * i + k after that of the step.
struct Hashes {
  __m512i hash[4];
};

inline __attribute__((always_inline)) Hashes HashStep(const uint8_t* words, __m512i factor,
                                                      __m512i offset) {
  Hashes out;
  for (int k = 0; k < 4; ++k) {
    const __m512i word = _mm512_loadu_si512(words + k);
    out.hash[k] = _mm512_add_epi32(_mm512_mullo_epi32(word, factor), offset);
  }
  return out;
}

inline __attribute__((always_inline)) __m512i LeastByLane(const Hashes& hashes) {
  return _mm512_min_epu32(_mm512_min_epu32(hashes.hash[0], hashes.hash[1]),
                          _mm512_min_epu32(hashes.hash[2], hashes.hash[3]));
}

// Requires that one of the lanes holds `least`.
size_t EarliestOf(const Hashes& hashes, __m512i least) {
  size_t earliest = kStep;
  for (size_t k = 0; k < 4; ++k) {
    const unsigned equal = _mm512_cmpeq_epu32_mask(hashes.hash[k], least);
    if (equal == 0) continue;
    const size_t position = 4 * static_cast<size_t>(__builtin_ctz(equal)) + k;
    if (position < earliest) earliest = position;
  }
  return earliest;
}

}  // namespace

size_t FindCutAvx512(const uint8_t* data, size_t first, size_t last) {
  if (last - first + 1 < kStep) return FindCutScalar(data, first, last);
  const __m512i factor = _mm512_set1_epi32(static_cast<int>(kCutFactor));
  const __m512i offset = _mm512_set1_epi32(static_cast<int>(kCutOffset));
  // The last step may repeat positions: they do not lower the least hash again.
  const size_t last_step = last - (kStep - 1);
  size_t cut = first;
  __m512i best = _mm512_set1_epi32(-1);
  for (size_t p = first;;) {
    const Hashes hashes = HashStep(data + p - 4, factor, offset);
    const __m512i least = LeastByLane(hashes);
    if (__builtin_expect(_mm512_cmplt_epu32_mask(least, best) != 0, 0)) {
      best = _mm512_set1_epi32(static_cast<int>(_mm512_reduce_min_epu32(least)));
      cut = p + EarliestOf(hashes, best);
    }
    if (p == last_step) return cut;
    p = p + kStep < last_step ? p + kStep : last_step;
  }
}

}  // namespace dedupfs

#else

namespace dedupfs {

size_t FindCutAvx512(const uint8_t* data, size_t first, size_t last) {
  return FindCutScalar(data, first, last);
}

}  // namespace dedupfs

#endif
