// Locks of inodes: 1024 stripes, taken in stripe order, so that no two holders wait for each other.
//
// Thread safety: every method may be called concurrently.
// Ownership:     a Guard must not outlive the InodeLocks. A thread holds at most one Guard.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>

#include "chunkstore/base/mutex.h"
#include "fs/types.h"

namespace dedupfs {

class InodeLocks {
 public:
  static constexpr size_t kStripes = 1024;
  static constexpr size_t kMaxInodes = 6;  // of one Guard

  // Holds the locks of up to six inodes; the number 0 stands for none. The analysis cannot follow
  // a set of locks that is known at run time only.
  class Guard {
   public:
    Guard(InodeLocks& locks, std::initializer_list<Ino> inos) NO_THREAD_SAFETY_ANALYSIS
        : locks_(locks) {
      for (const Ino ino : inos) {
        if (ino != 0 && count_ < kMaxInodes) stripes_[count_++] = ino % kStripes;
      }
      std::sort(stripes_.begin(), stripes_.begin() + count_);
      count_ = static_cast<size_t>(std::unique(stripes_.begin(), stripes_.begin() + count_) -
                                   stripes_.begin());
      for (size_t i = 0; i < count_; ++i) locks_.stripes_[stripes_[i]].Lock();
    }
    ~Guard() NO_THREAD_SAFETY_ANALYSIS {
      while (count_ > 0) locks_.stripes_[stripes_[--count_]].Unlock();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    InodeLocks& locks_;
    std::array<size_t, kMaxInodes> stripes_{};
    size_t count_ = 0;
  };

 private:
  std::array<Mutex, kStripes> stripes_;
};

}  // namespace dedupfs
