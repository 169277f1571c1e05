#include "chunkstore/chunking/fingerprint_shani.h"

#if defined(__SHA__) && defined(__SSE4_1__)
#include <cpuid.h>
#include <immintrin.h>

#include <cstring>
#include <utility>

#define DEDUPFS_INLINE inline __attribute__((always_inline))

namespace dedupfs {
namespace {

constexpr size_t kBlock = 64;

// FIPS 180-4, section 4.2.2.
alignas(16) constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The words a to h in the order that the instructions take them, the highest lane first.
struct State {
  __m128i abef = _mm_set_epi32(0x6a09e667, static_cast<int>(0xbb67ae85), 0x510e527f,
                               static_cast<int>(0x9b05688c));
  __m128i cdgh = _mm_set_epi32(0x3c6ef372, static_cast<int>(0xa54ff53a), 0x1f83d9ab, 0x5be0cd19);
};

// A block under way: its working variables and the sixteen newest words of its schedule.
struct Lane {
  State state;
  __m128i words[4];
};

DEDUPFS_INLINE __m128i ReverseWords() {
  return _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
}

DEDUPFS_INLINE Lane Load(const State& state, const uint8_t* block) {
  Lane lane{state, {}};
  for (int i = 0; i < 4; ++i) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + i);
    lane.words[i] = _mm_shuffle_epi8(raw, ReverseWords());
  }
  return lane;
}

// Rounds 4 * kGroup to 4 * kGroup + 3, and the schedule's words of sixteen rounds later.
template <int kGroup>
DEDUPFS_INLINE void FourRounds(Lane& lane) {
  __m128i* const w = lane.words;
  constexpr int k0 = kGroup % 4;
  constexpr int k1 = (kGroup + 1) % 4;
  constexpr int k2 = (kGroup + 2) % 4;
  constexpr int k3 = (kGroup + 3) % 4;
  const __m128i constants =
      _mm_load_si128(reinterpret_cast<const __m128i*>(kRound + 4 * static_cast<size_t>(kGroup)));
  const __m128i input = _mm_add_epi32(w[k0], constants);
  State& state = lane.state;
  state.cdgh = _mm_sha256rnds2_epu32(state.cdgh, state.abef, input);
  state.abef = _mm_sha256rnds2_epu32(state.abef, state.cdgh, _mm_shuffle_epi32(input, 0x0E));
  if constexpr (kGroup < 12) {
    const __m128i sum =
        _mm_add_epi32(_mm_sha256msg1_epu32(w[k0], w[k1]), _mm_alignr_epi8(w[k3], w[k2], 4));
    w[k0] = _mm_sha256msg2_epu32(sum, w[k3]);
  }
}

using AllGroups = std::make_integer_sequence<int, 16>;

template <int... kGroup>
DEDUPFS_INLINE void AllRounds(Lane& lane, std::integer_sequence<int, kGroup...> /*groups*/) {
  (FourRounds<kGroup>(lane), ...);
}

template <int... kGroup>
DEDUPFS_INLINE void AllRounds(Lane& a, Lane& b, std::integer_sequence<int, kGroup...> /*groups*/) {
  ((FourRounds<kGroup>(a), FourRounds<kGroup>(b)), ...);
}

DEDUPFS_INLINE void Add(State& state, const Lane& lane) {
  state.abef = _mm_add_epi32(state.abef, lane.state.abef);
  state.cdgh = _mm_add_epi32(state.cdgh, lane.state.cdgh);
}

// The blocks of a padded message. The last one or two are copies, the others lie in the data.
class Message {
 public:
  Message(const uint8_t* data, size_t size) : data_(data), whole_(size / kBlock) {
    const size_t rest = size % kBlock;
    if (rest != 0) std::memcpy(end_, data + size - rest, rest);
    end_[rest] = 0x80;
    const size_t end_size = rest + 1 + sizeof(uint64_t) <= kBlock ? kBlock : 2 * kBlock;
    const uint64_t bits = __builtin_bswap64(static_cast<uint64_t>(size) * 8);
    std::memcpy(end_ + end_size - sizeof bits, &bits, sizeof bits);
    count_ = whole_ + end_size / kBlock;
  }
  size_t count() const { return count_; }
  DEDUPFS_INLINE const uint8_t* block(size_t i) const {
    return i < whole_ ? data_ + i * kBlock : end_ + (i - whole_) * kBlock;
  }

 private:
  const uint8_t* data_;
  size_t whole_;
  size_t count_;
  uint8_t end_[2 * kBlock] = {};
};

void Finish(State state, const Message& message, size_t next, uint8_t* out) {
  for (size_t i = next; i < message.count(); ++i) {
    Lane lane = Load(state, message.block(i));
    AllRounds(lane, AllGroups{});
    Add(state, lane);
  }
  const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1B);
  const __m128i hgdc = _mm_shuffle_epi32(state.cdgh, 0x1B);
  const __m128i abcd = _mm_unpacklo_epi64(feba, hgdc);
  const __m128i efgh = _mm_unpackhi_epi64(feba, hgdc);
  auto* const words = reinterpret_cast<__m128i*>(out);
  _mm_storeu_si128(words, _mm_shuffle_epi8(abcd, ReverseWords()));
  _mm_storeu_si128(words + 1, _mm_shuffle_epi8(efgh, ReverseWords()));
}

}  // namespace

bool CpuHasShaNi() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (ebx & bit_SHA) != 0 && __builtin_cpu_supports("sse4.1") != 0;
}

void Sha256PairShaNi(const uint8_t* first, size_t first_size, const uint8_t* second,
                     size_t second_size, uint8_t* first_out, uint8_t* second_out) {
  const Message a(first, first_size);
  const Message b(second, second_size);
  State a_state;
  State b_state;
  const size_t both = a.count() < b.count() ? a.count() : b.count();
  for (size_t i = 0; i < both; ++i) {
    Lane a_lane = Load(a_state, a.block(i));
    Lane b_lane = Load(b_state, b.block(i));
    AllRounds(a_lane, b_lane, AllGroups{});
    Add(a_state, a_lane);
    Add(b_state, b_lane);
  }
  Finish(a_state, a, both, first_out);
  Finish(b_state, b, both, second_out);
}

}  // namespace dedupfs

#else

namespace dedupfs {

bool CpuHasShaNi() { return false; }

void Sha256PairShaNi(const uint8_t* /*first*/, size_t /*first_size*/, const uint8_t* /*second*/,
                     size_t /*second_size*/, uint8_t* /*first_out*/, uint8_t* /*second_out*/) {
  __builtin_trap();
}

}  // namespace dedupfs

#endif
