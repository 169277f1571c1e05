// Waits for the end of the daemon that has a store open, by the lock that it holds.
//
// Thread safety: uses SIGALRM and the process's interval timer, so it is called while the process
//                has one thread.
// Errors:        ETIMEDOUT where the lock was still held; errno of open(2) on the lock file.
#pragma once

#include <cstdint>
#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

// Returns once nobody holds the lock of `store` (and does not hold it itself then).
Status WaitForStoreLock(const std::string& store, uint32_t timeout_s);

}  // namespace dedupfs
