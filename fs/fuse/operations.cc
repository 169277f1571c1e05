#include "fs/fuse/operations.h"

namespace dedupfs {

// What is left out is left to the kernel on purpose: libfuse answers ENOSYS once and the kernel
// never asks again. flush: close(2) still writes dirty pages back, and WRITE and FSYNC report our
// errors. getlk, setlk, flock: the kernel's own locks are right for a local mount. access: the
// kernel checks (default_permissions).
fuse_lowlevel_ops AllHandlers() {
  fuse_lowlevel_ops ops = {};
  ops.init = InitSession;
  SetNameHandlers(ops);
  SetAttributeHandlers(ops);
  SetOpenHandlers(ops);
  SetContentHandlers(ops);
  SetDirectoryHandlers(ops);
  SetXattrHandlers(ops);
  SetFlagHandlers(ops);
  return ops;
}

}  // namespace dedupfs
