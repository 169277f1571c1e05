#include "tools/dedupfs/exit_codes.h"

#include <cerrno>

#include "chunkstore/base/error.h"

namespace dedupfs {

ExitCode StoreExitCode(const Error& error) {
  switch (error.code) {
    case ENOENT:
    case ENOTDIR:
      return kExitNoStore;
    case EBUSY:
      return kExitStoreInUse;
    case EPROTO:
      return kExitNewerFormat;
    default:  // an errno, which no compiler can list
      return kExitFailure;
  }
}

}  // namespace dedupfs
