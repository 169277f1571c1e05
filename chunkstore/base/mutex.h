// Locks with clang's thread-safety annotations (std ones underneath).
//
// Every lock of the project is one of these; their order is in docs/locking.md.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <shared_mutex>

#if defined(__clang__)
#define DEDUPFS_TSA(x) __attribute__((x))
#else
#define DEDUPFS_TSA(x)
#endif
#define GUARDED_BY(x) DEDUPFS_TSA(guarded_by(x))
#define PT_GUARDED_BY(x) DEDUPFS_TSA(pt_guarded_by(x))
#define REQUIRES(...) DEDUPFS_TSA(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) DEDUPFS_TSA(requires_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) DEDUPFS_TSA(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) DEDUPFS_TSA(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) DEDUPFS_TSA(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) DEDUPFS_TSA(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) DEDUPFS_TSA(release_shared_capability(__VA_ARGS__))
#define RELEASE_GENERIC(...) DEDUPFS_TSA(release_generic_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS DEDUPFS_TSA(no_thread_safety_analysis)

namespace dedupfs {

class DEDUPFS_TSA(capability("mutex")) Mutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class CondVar;
  friend class MutexLock;
  std::mutex mutex_;
};

class DEDUPFS_TSA(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : lock_(mutex.mutex_) {}
  ~MutexLock() RELEASE() {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() RELEASE() { lock_.unlock(); }
  void Lock() ACQUIRE() { lock_.lock(); }

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> lock_;
};

class DEDUPFS_TSA(capability("shared_mutex")) SharedMutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }
  void LockShared() ACQUIRE_SHARED() { mutex_.lock_shared(); }
  void UnlockShared() RELEASE_SHARED() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
};

class DEDUPFS_TSA(scoped_lockable) WriterLock {
 public:
  explicit WriterLock(SharedMutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~WriterLock() RELEASE() { mutex_.Unlock(); }
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;

 private:
  SharedMutex& mutex_;
};

class DEDUPFS_TSA(scoped_lockable) ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mutex) ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex_.LockShared();
  }
  ~ReaderLock() RELEASE_GENERIC() { mutex_.UnlockShared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mutex_;
};

// Waits on a Mutex held through a MutexLock. Callers loop on their condition:
//   while (!ready_) changed_.Wait(lock);
class CondVar {
 public:
  void Wait(MutexLock& lock) NO_THREAD_SAFETY_ANALYSIS { condition_.wait(lock.lock_); }
  // False once `time` has passed.
  template <typename Clock, typename Duration>
  bool WaitUntil(MutexLock& lock,
                 std::chrono::time_point<Clock, Duration> time) NO_THREAD_SAFETY_ANALYSIS {
    return condition_.wait_until(lock.lock_, time) == std::cv_status::no_timeout;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace dedupfs
