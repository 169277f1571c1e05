#include "fs/fuse/invalidation.h"

#include <exception>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/base/thread_pool.h"

namespace dedupfs {

bool InvalidationThread::Submit(std::function<void()> task) {
  MutexLock lock(mutex_);
  if (finishing_) return false;
  tasks_.push_back(std::move(task));
  if (!thread_.joinable()) thread_ = std::thread([this] { Work(); });
  changed_.NotifyOne();
  return true;
}

void InvalidationThread::Finish() {
  std::thread thread;
  {
    MutexLock lock(mutex_);
    finishing_ = true;
    thread = std::move(thread_);
    changed_.NotifyAll();
  }
  if (thread.joinable()) thread.join();
}

void InvalidationThread::Work() {
  NameThisThread("fuse-invalidate");
  for (;;) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !finishing_) changed_.Wait(lock);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    try {
      task();
    } catch (const std::exception& thrown) {
      LogError("fuse_invalidation_threw", thrown.what());
    }
  }
}

}  // namespace dedupfs
