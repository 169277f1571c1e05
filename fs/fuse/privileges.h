// Clearing set-id bits and capabilities when the kernel leaves that to us
// (FUSE_HANDLE_KILLPRIV_V2). Internal to fs/fuse/.
//
// The kernel asks with a flag on WRITE, SETATTR, OPEN and CREATE, where the caller lacks
// CAP_FSETID: so root keeps the bits, as on ext4. It has no flag on FALLOCATE and
// COPY_FILE_RANGE: there every caller but root with CAP_FSETID loses them (the capabilities of
// others are not asked: a kernel thread that acts for a user shows its own). It does not expect the
// mode to change by a write and would show the old one until the timeout, so it is told.
#pragma once

#include <string_view>

#include "chunkstore/base/error.h"
#include "fs/fuse/lowlevel.h"
#include "fs/types.h"

namespace dedupfs {

// Whether this request, which is being handled on the thread that read it, asks for it.
bool KillsPrivileges(fuse_req_t request);

// The same for requests that have no flag for it.
bool KillsPrivilegesWithoutFlag(fuse_req_t request, Ino ino);

// Made before the operation that kills privileges; after it, KernelForgets() makes the kernel ask
// for the mode again if there were bits to clear.
class PrivilegeChange {
 public:
  PrivilegeChange(fuse_req_t request, Ino ino, bool kills);
  void KernelForgets();

 private:
  fuse_req_t request_;
  Ino ino_;
  bool had_set_id_ = false;
};

// Clears them now, for operations that do not do it themselves.
Status ClearPrivileges(fuse_req_t request, Ino ino);

}  // namespace dedupfs
