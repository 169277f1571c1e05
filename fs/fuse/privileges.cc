#include "fs/fuse/privileges.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include "fs/fuse/caller.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {

bool KillsPrivileges(fuse_req_t request) {
  SessionState& state = StateOf(request);
  if (!state.device_io.kill_privileges_is_ours() || !DeviceIo::RequestKillsPrivileges()) {
    return false;
  }
  ++state.counters.kill_privileges;
  return true;
}

bool KillsPrivilegesWithoutFlag(fuse_req_t request, Ino ino) {
  SessionState& state = StateOf(request);
  if (!state.device_io.kill_privileges_is_ours()) return false;
  if (fuse_req_ctx(request)->uid != 0) return true;
  const Result<Attributes> attributes = state.fs.GetAttributes(ino);
  return attributes && (attributes->mode & (S_ISUID | S_ISGID)) != 0 &&
         !HasCapability(request, CAP_FSETID);
}

PrivilegeChange::PrivilegeChange(fuse_req_t request, Ino ino, bool kills)
    : request_(request), ino_(ino) {
  if (!kills) return;
  const Result<Attributes> attributes = StateOf(request).fs.GetAttributes(ino);
  had_set_id_ = attributes && (attributes->mode & (S_ISUID | S_ISGID)) != 0;
}

void PrivilegeChange::KernelForgets() {
  if (had_set_id_) KernelForgetsAttributes(request_, ino_);
}

Status ClearPrivileges(fuse_req_t request, Ino ino) {
  PrivilegeChange privileges(request, ino, true);
  AttributeChange change;
  change.clear_privileges = true;
  DEDUPFS_RETURN_IF_ERROR(
      StateOf(request).fs.SetAttributes(ino, change, CallerOf(request), nullptr));
  privileges.KernelForgets();
  return Ok();
}

}  // namespace dedupfs
