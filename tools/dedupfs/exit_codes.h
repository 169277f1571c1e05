// The exit statuses of `dedupfs`: part of its interface, listed in README.md.
//
// Thread safety: functions without state.
#pragma once

#include "chunkstore/base/error.h"

namespace dedupfs {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,
  kExitUsage = 2,
  kExitNoStore = 3,
  kExitStoreInUse = 4,
  kExitNewerFormat = 5,
  kExitMountPoint = 6,
  kExitNoFuse = 7,
  kExitDamage = 8,
};

// For an error of opening, making or checking a store.
ExitCode StoreExitCode(const Error& error);

}  // namespace dedupfs
