// How many of the points of a history a test tries: all in the plain builds; under a sanitizer,
// which makes each many times slower, one in so many.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace dedupfs {

// DEDUPFS_CRASH_STRIDE in the environment goes first.
inline uint64_t PointStride() {
  if (const char* const given = std::getenv("DEDUPFS_CRASH_STRIDE"); given != nullptr) {
    const uint64_t stride = std::strtoull(given, nullptr, 10);
    return stride == 0 ? 1 : stride;
  }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 23;
#else
  return 1;
#endif
}

}  // namespace dedupfs
