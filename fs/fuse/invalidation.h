// A thread for what makes the kernel write dirty pages back: the thread waits while the session's
// workers take those writes, so no worker may do it itself. Internal to fs/fuse/.
//
// Thread safety: every method may be called concurrently; Finish() by one thread at a time.
// Ownership:     owns its thread, which starts with the first task and ends in Finish().
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "chunkstore/base/mutex.h"

namespace dedupfs {

class InvalidationThread {
 public:
  InvalidationThread() = default;
  ~InvalidationThread() { Finish(); }
  InvalidationThread(const InvalidationThread&) = delete;
  InvalidationThread& operator=(const InvalidationThread&) = delete;

  // Runs `task` later, in order. False after Finish(): it will not run. There is at most one task
  // for each waiting system call, which bounds the queue.
  bool Submit(std::function<void()> task);
  // Runs what was submitted, then joins. The workers must still serve requests, or the connection
  // be gone.
  void Finish();

 private:
  void Work();

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  bool finishing_ GUARDED_BY(mutex_) = false;
  std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
