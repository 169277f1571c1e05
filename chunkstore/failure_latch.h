// Why a store has turned read-only: the first failure that took away trust in what is written.
//
// Thread safety: every method may be called concurrently.
// Errors:        Check() gives EROFS with the first failure's message, for good.
#pragma once

#include <cerrno>
#include <optional>
#include <string>

#include "chunkstore/base/error.h"
#include "chunkstore/base/log.h"
#include "chunkstore/base/mutex.h"

namespace dedupfs {

class FailureLatch {
 public:
  void Set(const Error& error) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      if (first_) return;
      first_ = error;
    }
    LogError("store_read_only", "cause=\"" + error.message + "\"");
  }

  // For an append or a seal: a full disk leaves the store usable.
  void SetUnlessFull(const Error& error) EXCLUDES(mutex_) {
    if (error.code != ENOSPC && error.code != EDQUOT) Set(error);
  }

  Status Check() const EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (!first_) return Ok();
    return Fail(EROFS, "the store is read-only since a failure: " + first_->message);
  }

 private:
  mutable Mutex mutex_;
  std::optional<Error> first_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
