#include "fs/purger.h"

#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/base/thread_pool.h"

namespace dedupfs {

Purger::Purger(std::function<void()> start, std::function<Status(Ino)> purge)
    : start_(std::move(start)), purge_(std::move(purge)) {}

void Purger::Start() {
  thread_ = std::thread([this] { Work(); });
}

Purger::~Purger() { Stop(); }

void Purger::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void Purger::Add(Ino ino) {
  {
    MutexLock lock(mutex_);
    orphans_.push_back(ino);
  }
  changed_.NotifyAll();
}

void Purger::Wait() {
  MutexLock lock(mutex_);
  while (!stopping_ && (busy_ || !orphans_.empty())) changed_.Wait(lock);
}

size_t Purger::waiting() const {
  MutexLock lock(mutex_);
  return orphans_.size() + (busy_ ? 1 : 0);
}

void Purger::Work() {
  NameThisThread("purger");
  start_();
  while (true) {
    Ino ino = 0;
    {
      MutexLock lock(mutex_);
      busy_ = false;
      if (orphans_.empty()) changed_.NotifyAll();
      while (!stopping_ && orphans_.empty()) changed_.Wait(lock);
      if (stopping_) return;
      busy_ = true;
      ino = orphans_.front();
      orphans_.pop_front();
    }
    if (const Status purged = purge_(ino); !purged) {
      // The orphan row stays: the next mount tries again.
      LogWarn("purge_failed",
              "inode=" + std::to_string(ino) + " error=\"" + purged.error().message + "\"");
    }
  }
}

}  // namespace dedupfs
