#include "tools/dedupfs/selftest/step_counter.h"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"
#include "tools/dedupfs/selftest/interrupt.h"

namespace dedupfs {
namespace {

constexpr std::chrono::seconds kLongTime{300};

}  // namespace

bool StepCounter::Step() {
  const MutexLock lock(mutex_);
  if (cut_ || Interrupt::Requested()) return false;
  ++steps_;
  changed_.NotifyAll();
  return true;
}

void StepCounter::WriterEnded() {
  const MutexLock lock(mutex_);
  --running_;
  changed_.NotifyAll();
}

// Until something changes; whose wait it was looks whether it is what it waits for.
Status StepCounter::WaitForChange(MutexLock& lock) {
  const uint64_t steps = steps_;
  const size_t running = running_;
  const auto deadline = std::chrono::steady_clock::now() + kLongTime;
  while (steps == steps_ && running == running_) {
    if (!changed_.WaitUntil(lock, deadline) && steps == steps_ && running == running_) {
      return Fail(ETIMEDOUT, "the mount hangs: no writer went on for " +
                                 std::to_string(kLongTime.count()) + " s");
    }
  }
  return Ok();
}

Status StepCounter::WaitFor(uint64_t steps) {
  MutexLock lock(mutex_);
  while (steps_ < steps && running_ > 0) DEDUPFS_RETURN_IF_ERROR(WaitForChange(lock));
  return Ok();
}

void StepCounter::BeginCut() {
  const MutexLock lock(mutex_);
  cut_ = true;
}

Status StepCounter::WaitForEnd() {
  MutexLock lock(mutex_);
  while (running_ > 0) DEDUPFS_RETURN_IF_ERROR(WaitForChange(lock));
  return Ok();
}

bool StepCounter::cut_has_begun() {
  const MutexLock lock(mutex_);
  return cut_;
}

uint64_t StepCounter::steps() {
  const MutexLock lock(mutex_);
  return steps_;
}

}  // namespace dedupfs
