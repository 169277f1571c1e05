// Locks of inodes: 1024 stripes, taken in stripe order, so that no two holders wait for each other.
//
// Thread safety: every method may be called concurrently.
// Ownership:     a Guard must not outlive the InodeLocks. A thread holds at most one Guard.
#pragma once

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
        if (ino != 0 && count_ < kMaxInodes) Note(ino % kStripes);
      }
      for (size_t i = 0; i < count_; ++i) locks_.stripes_[stripes_[i]].Lock();
    }
    ~Guard() NO_THREAD_SAFETY_ANALYSIS {
      while (count_ > 0) locks_.stripes_[stripes_[--count_]].Unlock();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    // Keeps the stripes ascending, each once.
    void Note(size_t stripe) {
      size_t place = count_;
      while (place > 0 && stripes_[place - 1] >= stripe) --place;
      if (place < count_ && stripes_[place] == stripe) return;
      for (size_t i = count_; i > place; --i) stripes_[i] = stripes_[i - 1];
      stripes_[place] = stripe;
      ++count_;
    }

    InodeLocks& locks_;
    std::array<size_t, kMaxInodes> stripes_{};
    size_t count_ = 0;
  };

 private:
  std::array<Mutex, kStripes> stripes_;
};

}  // namespace dedupfs
