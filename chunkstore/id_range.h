// Numbers that are never given twice, also over crashes: taken from ranges that are reserved in the
// database by a synced write before the first of them is used.
//
// Thread safety: every method may be called concurrently. One IdRange for each name in a process.
// Ownership:     borrows `kv`, which outlives it.
// Durability:    a number given out is never given again, whatever is lost; numbers of a range that
//                was not used up are skipped after a restart.
// Errors:        those of the Kv; ERANGE once the 64 bits are used up. No number is used by a
//                failed call.
#pragma once

#include <cstdint>
#include <string>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/mutex.h"

namespace dedupfs {

class IdRange {
 public:
  // `name` is the key in Family::kMeta, `step` how many are reserved at once, `first` the first
  // number of a new store.
  IdRange(Kv& kv, std::string name, uint64_t step, uint64_t first);

  Result<uint64_t> Next() { return NextMany(1); }
  // The first of `count` consecutive numbers.
  Result<uint64_t> NextMany(uint64_t count);
  // No number from here on was ever given.
  Result<uint64_t> EndOfGiven();

 private:
  // Reserves at least `count` more; returns the end of the range.
  Result<uint64_t> Reserve(uint64_t count);

  Kv& kv_;
  const std::string name_;
  const uint64_t step_;
  const uint64_t first_;

  Mutex mutex_;
  CondVar changed_;
  // One caller reserves at a time, without the lock: the write waits for the disk.
  bool reserving_ GUARDED_BY(mutex_) = false;
  bool loaded_ GUARDED_BY(mutex_) = false;
  uint64_t next_ GUARDED_BY(mutex_) = 0;
  uint64_t end_ GUARDED_BY(mutex_) = 0;
};

}  // namespace dedupfs
