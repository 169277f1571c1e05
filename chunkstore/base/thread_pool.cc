#include "chunkstore/base/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/base/mutex.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxThreadName = 15;

// What the helpers of one ParallelFor share. A helper may start after the loop has ended: it then
// finds no index left, and must not touch `body`, which lay on the caller's stack.
struct Loop {
  Loop(size_t count_in, const std::function<void(size_t)>* body_in)
      : count(count_in), body(body_in) {}

  const size_t count;
  const std::function<void(size_t)>* const body;
  std::atomic<size_t> next{0};
  Mutex mutex;
  CondVar finished;
  size_t done GUARDED_BY(mutex) = 0;
};

// noexcept: a body that threw would leave a batch that looks whole; ending the process does not.
void RunLoop(Loop& loop) noexcept {
  size_t ran = 0;
  for (size_t i = loop.next.fetch_add(1); i < loop.count; i = loop.next.fetch_add(1)) {
    (*loop.body)(i);
    ++ran;
  }
  if (ran == 0) return;
  MutexLock lock(loop.mutex);
  loop.done += ran;
  if (loop.done == loop.count) loop.finished.NotifyAll();
}

void RunTask(const std::function<void()>& task) {
  try {
    task();
  } catch (const std::exception& error) {
    LogError("task_threw", std::string("what=") + error.what());
  } catch (...) {
    LogError("task_threw", "what=unknown");
  }
}

}  // namespace

void NameThisThread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, kMaxThreadName).c_str());
}

ThreadPool::ThreadPool(std::string name, size_t threads) : name_(std::move(name)) {
  const size_t count = std::max<size_t>(threads, 1);
  threads_.reserve(count);
  for (size_t i = 0; i < count; ++i) threads_.emplace_back([this, i] { Work(i); });
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Work(size_t index) {
  NameThisThread(name_ + "-" + std::to_string(index));
  MutexLock lock(mutex_);
  while (true) {
    while (tasks_.empty() && !stopping_) changed_.Wait(lock);
    if (tasks_.empty()) return;
    {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.Unlock();
      RunTask(task);
    }
    lock.Lock();
  }
}

void ThreadPool::Submit(std::function<void()> task) {
  MutexLock lock(mutex_);
  tasks_.push_back(std::move(task));
  changed_.NotifyOne();
}

void ThreadPool::ParallelFor(size_t count, const std::function<void(size_t)>& body) {
  if (count == 0) return;
  auto loop = std::make_shared<Loop>(count, &body);
  const size_t helpers = std::min(threads_.size(), count - 1);
  for (size_t i = 0; i < helpers; ++i) Submit([loop] { RunLoop(*loop); });
  RunLoop(*loop);
  MutexLock lock(loop->mutex);
  while (loop->done < loop->count) loop->finished.Wait(lock);
}

}  // namespace dedupfs
