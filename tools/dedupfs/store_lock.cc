#include "tools/dedupfs/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {
namespace {

using Clock = std::chrono::steady_clock;

// Interrupts system calls four times a second from now on. More than once, because a single alarm
// that comes between the check of the time and the call would be lost.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGALRM, &action, &old_action_);
    constexpr suseconds_t kIntervalUs = 250'000;
    const itimerval timer{{0, kIntervalUs}, {0, kIntervalUs}};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
  ~Interruptions() {
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
    ::sigaction(SIGALRM, &old_action_, nullptr);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;

 private:
  struct sigaction old_action_ {};
};

}  // namespace

Status WaitForStoreLock(const std::string& store, uint32_t timeout_s) {
  const std::string path = store + "/lock";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno(path);
  const auto deadline = Clock::now() + std::chrono::seconds(timeout_s);
  const Interruptions interruptions;
  int result = -1;
  do {
    result = ::flock(fd, LOCK_EX);
  } while (result != 0 && errno == EINTR && Clock::now() < deadline);
  const int code = errno;
  ::close(fd);
  if (result == 0) return Ok();
  if (code == EINTR) {
    return Fail(ETIMEDOUT, store + ": the daemon still has the store open after " +
                               std::to_string(timeout_s) + " s");
  }
  errno = code;
  return FailErrno(path);
}

}  // namespace dedupfs
