#include "fs/damage.h"

namespace dedupfs {

std::string RangeText(uint64_t offset, uint64_t length) {
  return "bytes " + std::to_string(offset) + " to " + std::to_string(offset + length - 1);
}

}  // namespace dedupfs
