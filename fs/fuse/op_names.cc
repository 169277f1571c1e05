#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <span>
#include <string>

#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

constexpr mode_t kSymlinkMode = S_IFLNK | 0777;

void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Guarded(request, "lookup", parent, [&] {
    SessionState& state = StateOf(request);
    ++state.counters.lookup;
    const Result<Attributes> found = state.fs.Lookup(parent, name);
    if (found || found.error().code != ENOENT) return ReplyEntry(request, "lookup", parent, found);
    fuse_entry_param absent =
        {};  // inode number 0: the kernel remembers that there is no such name
    absent.entry_timeout = state.options.entry_timeout_s;
    fuse_reply_entry(request, &absent);
  });
}

void Forget(fuse_req_t request, fuse_ino_t ino, uint64_t count) {
  try {
    StateOf(request).fs.Forget(ino, count);
  } catch (const std::exception&) {
    // The kernel takes no answer; the count ends with the mount.
  }
  fuse_reply_none(request);
}

void ForgetMulti(fuse_req_t request, size_t count, fuse_forget_data* forgets) {
  try {
    for (const fuse_forget_data& forget : std::span(forgets, count)) {
      StateOf(request).fs.Forget(forget.ino, forget.nlookup);
    }
  } catch (const std::exception&) {
  }
  fuse_reply_none(request);
}

void MakeNode(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  Guarded(request, "mknod", parent, [&] {
    ReplyEntry(request, "mknod", parent,
               StateOf(request).fs.Create(parent, name, mode, rdev, {}, CallerOf(request)));
  });
}

void MakeDirectory(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  Guarded(request, "mkdir", parent, [&] {
    const uint32_t full_mode = S_IFDIR | (mode & 07777);
    ReplyEntry(request, "mkdir", parent,
               StateOf(request).fs.Create(parent, name, full_mode, 0, {}, CallerOf(request)));
  });
}

void MakeSymlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  Guarded(request, "symlink", parent, [&] {
    ReplyEntry(
        request, "symlink", parent,
        StateOf(request).fs.Create(parent, name, kSymlinkMode, 0, target, CallerOf(request)));
  });
}

void Link(fuse_req_t request, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
  Guarded(request, "link", ino,
          [&] { ReplyEntry(request, "link", ino, StateOf(request).fs.Link(ino, parent, name)); });
}

void Unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Guarded(request, "unlink", parent, [&] {
    ReplyStatus(request, "unlink", parent, StateOf(request).fs.Unlink(parent, name));
  });
}

void RemoveDirectory(fuse_req_t request, fuse_ino_t parent, const char* name) {
  Guarded(request, "rmdir", parent, [&] {
    ReplyStatus(request, "rmdir", parent, StateOf(request).fs.RemoveDirectory(parent, name));
  });
}

void Rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  Guarded(request, "rename", parent, [&] {
    ReplyStatus(request, "rename", parent,
                StateOf(request).fs.Rename(parent, name, new_parent, new_name, flags));
  });
}

void ReadLink(fuse_req_t request, fuse_ino_t ino) {
  Guarded(request, "readlink", ino, [&] {
    const Result<std::string> target = StateOf(request).fs.ReadLink(ino);
    if (!target) return ReplyError(request, "readlink", ino, target.error());
    fuse_reply_readlink(request, target->c_str());
  });
}

}  // namespace

void SetNameHandlers(fuse_lowlevel_ops& ops) {
  ops.lookup = Lookup;
  ops.forget = Forget;
  ops.forget_multi = ForgetMulti;
  ops.mknod = MakeNode;
  ops.mkdir = MakeDirectory;
  ops.symlink = MakeSymlink;
  ops.link = Link;
  ops.unlink = Unlink;
  ops.rmdir = RemoveDirectory;
  ops.rename = Rename;
  ops.readlink = ReadLink;
}

}  // namespace dedupfs
