// The -o options of `dedupfs mount`, as mount(8) and /etc/fstab write them.
//
// Thread safety: functions without state.
// Errors:        EINVAL naming the option.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"

namespace dedupfs {

struct MountOptionSet {
  bool read_only = false;
  bool allow_other = false;
  bool writeback_cache = true;
  std::vector<std::string> kernel;  // for the kernel: nosuid, noatime, ...; the last of a pair only
};

// All that `kernel` of a set can hold.
std::vector<std::string> KernelMountOptions();

// Options that only mount(8) acts on (nofail, _netdev, user, x-...) are accepted and left out.
Result<MountOptionSet> ParseMountOptions(std::string_view options);

}  // namespace dedupfs
