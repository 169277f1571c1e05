// Random operations on a RecordedStore: names, content, syncs, purges, rewriting, and mounting
// anew.
//
// Thread safety: one thread at a time.
// Ownership:     borrows the store, which is open, and the random numbers.
// Errors:        the first that an operation gives, with the operation's name.
#pragma once

#include <cstdint>
#include <string>

#include "chunkstore/base/error.h"
#include "tests/fs/crash_points/recorded_store.h"
#include "tests/support/random.h"

namespace dedupfs {

class RandomHistory {
 public:
  RandomHistory(RecordedStore& store, Random& random);
  Status Step();

 private:
  std::string Content(size_t limit);
  // A regular file's path; "" if there is none.
  std::string PickFile();
  std::string FreePath();
  Status ChangeContent(const std::string& path);
  Status ChangeNames(const std::string& path);
  Status SyncOrTidy(const std::string& path);

  RecordedStore& store_;
  Random& random_;
  std::string pool_;
  uint64_t next_name_ = 0;
};

// A history of `steps` operations, then crashes at about `points` instants of it. Failures are test
// failures.
void TryRandomHistory(uint64_t seed, int steps, uint64_t points);

}  // namespace dedupfs
