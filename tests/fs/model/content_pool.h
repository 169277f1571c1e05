// Content that deduplicates and has holes, as real files do.
//
// Thread safety: immutable once made.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tests/support/random.h"

namespace dedupfs {

class ContentPool {
 public:
  explicit ContentPool(Random& random);

  // `size` bytes out of zeros, text, runs of the pool's blocks and fresh random bytes.
  std::string Make(Random& random, size_t size) const;

 private:
  std::vector<std::string> blocks_;
};

}  // namespace dedupfs
