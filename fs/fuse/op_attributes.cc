#include <sys/statvfs.h>

#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/privileges.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

constexpr uint64_t kStatFsUnit = 4096;
constexpr uint32_t kPermissionBits = 07777;

void GetAttributes(fuse_req_t request, fuse_ino_t ino, fuse_file_info*) {
  Guarded(request, "getattr", ino, [&] {
    SessionState& state = StateOf(request);
    ++state.counters.getattr;
    ReplyAttributes(request, "getattr", ino, state.fs.GetAttributes(ino));
  });
}

AttributeChange ChangeOf(const struct stat& wanted, int valid) {
  AttributeChange change;
  if ((valid & FUSE_SET_ATTR_MODE) != 0) change.mode = wanted.st_mode & kPermissionBits;
  if ((valid & FUSE_SET_ATTR_UID) != 0) change.uid = wanted.st_uid;
  if ((valid & FUSE_SET_ATTR_GID) != 0) change.gid = wanted.st_gid;
  if ((valid & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<uint64_t>(wanted.st_size);
  if ((valid & FUSE_SET_ATTR_ATIME) != 0) change.atime = FromTimespec(wanted.st_atim);
  if ((valid & FUSE_SET_ATTR_MTIME) != 0) change.mtime = FromTimespec(wanted.st_mtim);
  if ((valid & FUSE_SET_ATTR_CTIME) != 0) change.ctime = FromTimespec(wanted.st_ctim);
  // With the writeback cache the kernel says itself what now is for the mtime of a regular file,
  // and sends the ctime along, which is now and nothing else.
  const bool mtime_is_now = (valid & FUSE_SET_ATTR_MTIME_NOW) != 0 ||
                            (change.mtime && change.ctime && *change.mtime == *change.ctime);
  change.times_are_now = (valid & FUSE_SET_ATTR_ATIME_NOW) != 0 && mtime_is_now;
  if ((valid & FUSE_SET_ATTR_ATIME_NOW) != 0) change.atime = Now();
  if ((valid & FUSE_SET_ATTR_MTIME_NOW) != 0) change.mtime = Now();
  return change;
}

// A chown to no other user and no other group says nothing but that now is the ctime, and clears
// set-id bits all the same. The kernel lets everybody ask for it.
bool IsChownToNobody(fuse_req_t request, Ino ino, int valid) {
  if (valid != FUSE_SET_ATTR_CTIME) return false;
  SessionState& state = StateOf(request);
  if (!state.device_io.kill_privileges_is_ours()) return false;
  const uid_t uid = fuse_req_ctx(request)->uid;
  const Result<Attributes> attributes = state.fs.GetAttributes(ino);
  return uid == 0 || (attributes && attributes->uid == uid);
}

void SetAttributes(fuse_req_t request, fuse_ino_t ino, struct stat* wanted, int valid,
                   fuse_file_info* info) {
  Guarded(request, "setattr", ino, [&] {
    AttributeChange change = ChangeOf(*wanted, valid);
    change.clear_privileges = KillsPrivileges(request) || IsChownToNobody(request, ino, valid);
    OpenFile* file = info == nullptr ? nullptr : HandleTable::Get(info->fh).file.get();
    // The answer carries the new mode, so the kernel needs no other word of it.
    ReplyAttributes(request, "setattr", ino,
                    StateOf(request).fs.SetAttributes(ino, change, CallerOf(request), file));
  });
}

void StatFs(fuse_req_t request, fuse_ino_t ino) {
  Guarded(request, "statfs", ino, [&] {
    const FileSystem::Space space = StateOf(request).fs.StatFs();
    struct statvfs out = {};
    out.f_bsize = kStatFsUnit;
    out.f_frsize = kStatFsUnit;
    out.f_blocks = space.total_bytes / kStatFsUnit;
    out.f_bfree = space.free_bytes / kStatFsUnit;
    out.f_bavail = space.available_bytes / kStatFsUnit;
    out.f_files = space.files;
    out.f_ffree = space.files_free;
    out.f_favail = space.files_free;
    out.f_namemax = kMaxNameBytes;
    fuse_reply_statfs(request, &out);
  });
}

}  // namespace

void SetAttributeHandlers(fuse_lowlevel_ops& ops) {
  ops.getattr = GetAttributes;
  ops.setattr = SetAttributes;
  ops.statfs = StatFs;
}

}  // namespace dedupfs
