// How busy the processor cores of the machine are, from /proc/stat.
//
// Thread safety: every method may be called concurrently; each call ends the span of the last one.
// Errors:        where nothing can be read, the cores count as busy.
// Units:         shares, from 0 (all cores worked all the time) to 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "chunkstore/base/mutex.h"

namespace dedupfs {

// Times of all cores together since the start of the machine, in clock ticks.
struct CpuTimes {
  uint64_t idle = 0;   // waiting for a disk counts as idle
  uint64_t total = 0;  // guests are in it once, as user time

  bool operator==(const CpuTimes&) const = default;
};

// Reads the first line of /proc/stat; nullopt where it is not what proc(5) says.
std::optional<CpuTimes> ParseCpuTimes(std::string_view stat);

// The idle share of the time between two readings; 0 where no time has passed.
double IdleShareBetween(const CpuTimes& earlier, const CpuTimes& later);

class IdleCores {
 public:
  // The idle share since the last call; 0 at the first.
  double ShareSinceLastAsked() EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  std::optional<CpuTimes> last_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
