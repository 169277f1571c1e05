#include <fcntl.h>

#include <memory>
#include <utility>

#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/privileges.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

void FillInfo(SessionState& state, std::unique_ptr<OpenFile> file, Ino ino, fuse_file_info& info) {
  // The kernel does not know the flag: a page that it caches could be changed below the size, and
  // when it is written back nobody can tell.
  const bool append_only = FileSystem::IsAppendOnly(*file);
  info.fh = state.handles.Add(std::move(file), ino, info.flags);
  info.direct_io = append_only ? 1 : 0;
  info.keep_cache = append_only ? 0 : 1;  // nothing changes behind the kernel's back
}

// The kernel may know it as a file without blocks, from when nobody could write it.
void TellOfBlocks(fuse_req_t request, const OpenFile& file, int flags) {
  if (!StateOf(request).writeback_cache || (flags & O_ACCMODE) == O_RDONLY) return;
  if ((flags & O_TRUNC) != 0 || !FileSystem::HadBlocks(file)) {
    KernelForgetsAttributes(request, FileSystem::InodeOf(file));
  }
}

void Open(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  Guarded(request, "open", ino, [&] {
    SessionState& state = StateOf(request);
    const bool kills = (info->flags & O_TRUNC) != 0 && KillsPrivileges(request);
    Result<std::unique_ptr<OpenFile>> file = state.fs.Open(ino, info->flags);
    if (!file) return ReplyError(request, "open", ino, file.error());
    FillInfo(state, std::move(*file), ino, *info);
    if (kills) {
      if (Status cleared = ClearPrivileges(request, ino); !cleared) {
        state.handles.Remove(info->fh);
        return ReplyError(request, "open", ino, cleared.error());
      }
    }
    const uint64_t handle = info->fh;
    TellOfBlocks(request, *HandleTable::Get(handle).file, info->flags);
    if (fuse_reply_open(request, info) != 0) state.handles.Remove(handle);
  });
}

void Create(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* info) {
  Guarded(request, "create", parent, [&] {
    // The kernel's wish to kill set-id bits is for a file that was there, and CREATE comes only
    // for a name that was not.
    SessionState& state = StateOf(request);
    Attributes attributes;
    Result<std::unique_ptr<OpenFile>> file =
        state.fs.CreateAndOpen(parent, name, mode, info->flags, CallerOf(request), attributes);
    if (!file) return ReplyError(request, "create", parent, file.error());
    FillInfo(state, std::move(*file), attributes.ino, *info);
    const uint64_t handle = info->fh;
    const fuse_entry_param entry = ToEntry(request, attributes);
    if (fuse_reply_create(request, &entry, info) != 0) {
      state.handles.Remove(handle);
      state.fs.Forget(attributes.ino, 1);
    }
  });
}

void Release(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  Guarded(request, "release", ino, [&] {
    StateOf(request).handles.Remove(info->fh);
    fuse_reply_err(request, 0);
  });
}

void Fsync(fuse_req_t request, fuse_ino_t ino, int, fuse_file_info* info) {
  Guarded(request, "fsync", ino, [&] {
    ReplyStatus(request, "fsync", ino, StateOf(request).fs.Fsync(*HandleTable::Get(info->fh).file));
  });
}

}  // namespace

void SetOpenHandlers(fuse_lowlevel_ops& ops) {
  ops.open = Open;
  ops.create = Create;
  ops.release = Release;
  ops.fsync = Fsync;
}

}  // namespace dedupfs
