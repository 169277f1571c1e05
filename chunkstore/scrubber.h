// Runs a pass of a scrub on a thread of its own, no faster than asked for, until it is cancelled.
//
// Thread safety: every method may be called concurrently.
// Ownership:     borrows everything in ScrubParts; owns its thread.
// Durability:    as ScrubPass.
// Errors:        a pass that fails is logged, and told by Get; the next Start goes on from where it
//                was.
// Units:         as ScrubStatus.
#pragma once

#include <chrono>
#include <thread>

#include "chunkstore/base/mutex.h"
#include "chunkstore/scrub_pace.h"
#include "chunkstore/scrub_pass.h"
#include "chunkstore/scrub_status.h"

namespace dedupfs {

class Scrubber {
 public:
  explicit Scrubber(ScrubParts parts) : parts_(std::move(parts)) {}
  ~Scrubber() { Stop(); }

  // Returns at once. Where one runs, it gets the new rate; EBUSY if a restart is asked for then.
  Status Start(const ScrubOptions& options) EXCLUDES(mutex_);
  // Has the one that runs end soon; what it has done stays done.
  void Cancel() EXCLUDES(mutex_);
  // Waits until none runs, so long at the most, and tells how things are.
  Result<ScrubStatus> Wait(std::chrono::milliseconds time) EXCLUDES(mutex_);
  // Cancels, joins the thread, and refuses to start another.
  void Stop() EXCLUDES(mutex_);
  // Counts what a run has found out about extra copies (ScrubStatus).
  void NoteCopies(uint64_t healed, uint64_t damaged_copies) EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;

  void Work(bool restart);
  bool GoOn(const ScrubRecord& record, uint64_t bytes) EXCLUDES(mutex_);

  const ScrubParts parts_;
  Mutex mutex_;
  CondVar changed_;
  ScrubStatus status_ GUARDED_BY(mutex_);
  ScrubPace pace_ GUARDED_BY(mutex_);
  Clock::time_point started_ GUARDED_BY(mutex_);
  bool cancelled_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
