// Counts the steps that the writers of a workload begin, so that a cut comes at a chosen one.
//
// Thread safety: every method may be called concurrently.
// Errors:        ETIMEDOUT where for a long time no writer began a step: the file system hangs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"

namespace dedupfs {

class StepCounter {
 public:
  explicit StepCounter(size_t writers) : running_(writers) {}

  // A writer begins a step. False: it is to end instead.
  bool Step();
  void WriterEnded();
  // Returns once `steps` were begun, or every writer has ended.
  Status WaitFor(uint64_t steps);
  // Writers begin no more steps from here on, and errors are no faults.
  void BeginCut();
  // Returns once every writer has ended.
  Status WaitForEnd();
  bool cut_has_begun();
  uint64_t steps();

 private:
  Status WaitForChange(MutexLock& lock) REQUIRES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  uint64_t steps_ GUARDED_BY(mutex_) = 0;
  size_t running_ GUARDED_BY(mutex_);
  bool cut_ GUARDED_BY(mutex_) = false;
};

}  // namespace dedupfs
