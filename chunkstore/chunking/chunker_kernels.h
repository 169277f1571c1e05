// The search of the content-defined chunker, in portable and in vector form; all give the same cut.
//
// The files of the vector forms are compiled for processors that the program may not run on, so
// this header names plain types only: an inline function of a library that such a file shared with
// others could be linked from there.
//
// Thread safety: pure functions.
// Units:         bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dedupfs {

// h(p) = kCutFactor * u32le(data[p-4 .. p)) + kCutOffset, modulo 2^32. The factor is odd, so h maps
// the 2^32 contents of four bytes one to one and only equal contents tie. Runs of one byte are
// common and must not win:
//
//   - kCutOffset is 2^32 - 1, so 0x00000000 has the highest hash that there is;
//   - 0xFFFFFFFF hashes to kCutOffset - kCutFactor, which is high for a factor under 2^28;
//   - 0x20202020 hashes to kCutOffset + kCutFactor * 0x20202020, which is high if that product lies
//     in the last 2^24 values.
//
// kCutFactor is the first odd number from 0x09E3779B (the golden ratio's digits, shifted right by 4
// bits) that has the third property. ChunkerTest.CommonRunsHashHigh checks all three.
inline constexpr uint32_t kCutFactor = 0x09E377A3;
inline constexpr uint32_t kCutOffset = 0xFFFFFFFF;

// The position p in [first, last] with the least h(p), the earliest of several.
// Requires 4 <= first <= last; reads data[first - 4 .. last).
size_t FindCutScalar(const uint8_t* data, size_t first, size_t last);
// Requires CpuHasAvx2().
size_t FindCutAvx2(const uint8_t* data, size_t first, size_t last);
// Requires CpuHasAvx512().
size_t FindCutAvx512(const uint8_t* data, size_t first, size_t last);

bool CpuHasAvx2();
bool CpuHasAvx512();

}  // namespace dedupfs
