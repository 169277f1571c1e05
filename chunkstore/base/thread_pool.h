// A fixed set of named worker threads for work on whole batches.
//
// Thread safety: every method may be called concurrently, ParallelFor also from inside a task.
// Ownership:     the destructor finishes what was submitted, then joins.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "chunkstore/base/mutex.h"

namespace dedupfs {

// Gives the calling thread a name that ps and gdb show (cut at 15 bytes).
void NameThisThread(const std::string& name);

class ThreadPool {
 public:
  ThreadPool(std::string name, size_t threads);
  ~ThreadPool();

  // Runs body(0) ... body(count - 1), on the workers and on the calling thread, and returns when
  // all have ended. Never waits for a free worker: the caller does what nobody else takes.
  void ParallelFor(size_t count, const std::function<void(size_t)>& body);
  // Runs `task` some time later on a worker.
  void Submit(std::function<void()> task);

  size_t size() const { return threads_.size(); }

 private:
  void Work(size_t index);

  const std::string name_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> tasks_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace dedupfs
