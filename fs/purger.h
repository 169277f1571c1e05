// The thread that ends orphans: counts their chunks down and forgets their rows, in bounded steps.
// Deleting a terabyte never stalls other work.
//
// Thread safety: every public method may be called concurrently.
// Ownership:     borrows what the constructor is given; the destructor stops.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"
#include "fs/types.h"

namespace dedupfs {

class Purger {
 public:
  // `start` runs first on the thread, and may Add() what a crash left; `purge` ends one orphan.
  Purger(std::function<void()> start, std::function<Status(Ino)> purge);
  ~Purger();

  // Starts the thread, once.
  void Start();
  // Ends the thread after the orphan at hand; what is added later waits for the next mount.
  void Stop();
  void Add(Ino ino);
  // Until everything added before is purged, or failed.
  void Wait();
  size_t waiting() const;

 private:
  void Work();

  const std::function<void()> start_;
  const std::function<Status(Ino)> purge_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Ino> orphans_ GUARDED_BY(mutex_);
  bool busy_ GUARDED_BY(mutex_) = true;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace dedupfs
