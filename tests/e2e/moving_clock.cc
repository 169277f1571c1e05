// Preloaded into a program, moves the clock that it takes for the time of the day: by the little-
// endian i64 of seconds in the file DEDUPFS_CLOCK_OFFSET, which may change at any time. The kernel,
// and every clock that only measures durations, stay as they are.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

using Offset = std::atomic<int64_t>;

Offset* MapOffset() {
  const char* const path = std::getenv("DEDUPFS_CLOCK_OFFSET");
  if (path == nullptr) return nullptr;
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* const place = ::mmap(nullptr, sizeof(Offset), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  return place == MAP_FAILED ? nullptr : static_cast<Offset*>(place);
}

int64_t Moved() {
  static Offset* const offset = MapOffset();
  return offset == nullptr ? 0 : offset->load();
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* out) noexcept {
  const int result = static_cast<int>(::syscall(SYS_clock_gettime, clock, out));
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    out->tv_sec += Moved();
  }
  return result;
}

int gettimeofday(struct timeval* out, void* /*zone*/) noexcept {
  struct timespec now {};
  clock_gettime(CLOCK_REALTIME, &now);
  out->tv_sec = now.tv_sec;
  out->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) noexcept {
  struct timespec now {};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
