// How many requests of some kinds the kernel sent, for tests and measurements. Internal.
//
// Thread safety: every field may be read and changed concurrently.
#pragma once

#include <atomic>
#include <cstdint>

namespace dedupfs {

struct RequestCounters {
  std::atomic<uint64_t> lookup{0};
  std::atomic<uint64_t> getattr{0};
  std::atomic<uint64_t> getxattr{0};
  std::atomic<uint64_t> read{0};
  std::atomic<uint64_t> write{0};
  std::atomic<uint64_t> kill_privileges{0};  // requests that asked for set-id bits to go
};

}  // namespace dedupfs
