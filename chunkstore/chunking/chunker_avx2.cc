// As chunker_avx512.cc, with 32 positions a step. AVX2 has no unsigned comparison, so a step asks
// whether the minimum with the least hash so far differs from it.

#include "chunkstore/chunking/chunker_kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>

namespace dedupfs {
namespace {

constexpr size_t kStep = 32;

// Lane i of hash[k] belongs to the position 4 * i + k after that of the step.
struct Hashes {
  __m256i hash[4];
};

inline __attribute__((always_inline)) Hashes HashStep(const uint8_t* words, __m256i factor,
                                                      __m256i offset) {
  Hashes out;
  for (int k = 0; k < 4; ++k) {
    const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + k));
    out.hash[k] = _mm256_add_epi32(_mm256_mullo_epi32(word, factor), offset);
  }
  return out;
}

inline __attribute__((always_inline)) __m256i LeastByLane(const Hashes& hashes) {
  return _mm256_min_epu32(_mm256_min_epu32(hashes.hash[0], hashes.hash[1]),
                          _mm256_min_epu32(hashes.hash[2], hashes.hash[3]));
}

inline __attribute__((always_inline)) unsigned EqualLanes(__m256i a, __m256i b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b))));
}

// The least lane of `v`, in every lane.
__m256i Least(__m256i v) {
  v = _mm256_min_epu32(v, _mm256_permute2x128_si256(v, v, 1));
  v = _mm256_min_epu32(v, _mm256_shuffle_epi32(v, 0x4E));
  return _mm256_min_epu32(v, _mm256_shuffle_epi32(v, 0xB1));
}

// Requires that one of the lanes holds `least`.
size_t EarliestOf(const Hashes& hashes, __m256i least) {
  size_t earliest = kStep;
  for (size_t k = 0; k < 4; ++k) {
    const unsigned equal = EqualLanes(hashes.hash[k], least);
    if (equal == 0) continue;
    const size_t position = 4 * static_cast<size_t>(__builtin_ctz(equal)) + k;
    if (position < earliest) earliest = position;
  }
  return earliest;
}

}  // namespace

size_t FindCutAvx2(const uint8_t* data, size_t first, size_t last) {
  if (last - first + 1 < kStep) return FindCutScalar(data, first, last);
  const __m256i factor = _mm256_set1_epi32(static_cast<int>(kCutFactor));
  const __m256i offset = _mm256_set1_epi32(static_cast<int>(kCutOffset));
  // The last step may repeat positions: they do not lower the least hash again.
  const size_t last_step = last - (kStep - 1);
  size_t cut = first;
  __m256i best = _mm256_set1_epi32(-1);
  for (size_t p = first;;) {
    const Hashes hashes = HashStep(data + p - 4, factor, offset);
    const __m256i least = LeastByLane(hashes);
    if (__builtin_expect(EqualLanes(_mm256_min_epu32(least, best), best) != 0xFF, 0)) {
      best = Least(least);
      cut = p + EarliestOf(hashes, best);
    }
    if (p == last_step) return cut;
    p = p + kStep < last_step ? p + kStep : last_step;
  }
}

}  // namespace dedupfs

#else

namespace dedupfs {

size_t FindCutAvx2(const uint8_t* data, size_t first, size_t last) {
  return FindCutScalar(data, first, last);
}

}  // namespace dedupfs

#endif
