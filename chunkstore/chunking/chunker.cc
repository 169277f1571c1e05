#include "chunkstore/chunking/chunker.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>

#include "chunkstore/chunking/chunker_kernels.h"

namespace dedupfs {
namespace {

using FindCutFunction = size_t (*)(const uint8_t*, size_t, size_t);

FindCutFunction FastestFindCut() {
  if (CpuHasAvx512()) return FindCutAvx512;
  if (CpuHasAvx2()) return FindCutAvx2;
  return FindCutScalar;
}

uint32_t CutHash(const uint8_t* end) {
  const uint32_t word = static_cast<uint32_t>(end[-4]) | static_cast<uint32_t>(end[-3]) << 8 |
                        static_cast<uint32_t>(end[-2]) << 16 | static_cast<uint32_t>(end[-1]) << 24;
  return kCutFactor * word + kCutOffset;
}

}  // namespace

bool CpuHasAvx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0;
#else
  return false;
#endif
}

bool CpuHasAvx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("bmi") != 0;
#else
  return false;
#endif
}

size_t FindCutScalar(const uint8_t* data, size_t first, size_t last) {
  size_t cut = first;
  uint32_t least = CutHash(data + first);
  for (size_t p = first + 1; p <= last; ++p) {
    const uint32_t hash = CutHash(data + p);
    if (hash < least) {
      least = hash;
      cut = p;
    }
  }
  return cut;
}

Status ValidatePolicy(const ChunkPolicy& policy) {
  uint32_t least = 0;
  uint32_t most = 0;
  switch (policy.kind) {
    case ChunkingKind::kContentDefined:
      least = 16 << 10;
      most = 256 << 10;
      break;
    case ChunkingKind::kFixed:
      least = 4 << 10;
      most = 128 << 10;
      break;
  }
  if (most == 0) {
    return Fail(EINVAL,
                "chunking kind " + std::to_string(static_cast<int>(policy.kind)) + " is unknown");
  }
  if (policy.average < least || policy.average > most || !std::has_single_bit(policy.average)) {
    return Fail(EINVAL, "chunk size " + std::to_string(policy.average) +
                            " is not a power of two from " + std::to_string(least) + " to " +
                            std::to_string(most));
  }
  return Ok();
}

size_t FindCut(const ChunkPolicy& policy, Bytes data) {
  static const FindCutFunction find_cut = FastestFindCut();
  if (data.size() <= policy.min()) return data.size();
  if (policy.kind == ChunkingKind::kFixed) return policy.average;
  return find_cut(AsU8(data), policy.min(), std::min<size_t>(policy.max(), data.size()));
}

}  // namespace dedupfs
