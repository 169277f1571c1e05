#include "fs/types.h"

#include <ctime>

namespace dedupfs {

Time Now() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<Time>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace dedupfs
