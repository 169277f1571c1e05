// Refuses writes that would use the last of the disk below, so that deletes and reclaiming always
// have room to work in.
//
// Thread safety: every method may be called concurrently.
// Ownership:     borrows `env`, which outlives it.
// Errors:        ENOSPC while fewer than `bytes` plus the reserve are available; those of the Env.
// Units:         bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "chunkstore/base/env.h"
#include "chunkstore/base/mutex.h"

namespace dedupfs {

class SpaceGuard {
 public:
  SpaceGuard(Env& env, std::string directory, uint64_t reserve_bytes);

  // Asks the disk at most every 100 ms or 32 MiB of granted bytes, and before it refuses.
  Status Check(uint64_t bytes) EXCLUDES(mutex_);

 private:
  Status Refresh() REQUIRES(mutex_);
  bool Fits(uint64_t bytes) const REQUIRES(mutex_);

  Env& env_;
  const std::string directory_;
  const uint64_t reserve_bytes_;

  Mutex mutex_;
  bool known_ GUARDED_BY(mutex_) = false;
  std::chrono::steady_clock::time_point asked_at_ GUARDED_BY(mutex_);
  uint64_t available_ GUARDED_BY(mutex_) = 0;
  uint64_t granted_ GUARDED_BY(mutex_) = 0;  // since the disk was asked
};

}  // namespace dedupfs
