#include <linux/capability.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

// A size of 0 asks how much there is.
void ReplyValue(fuse_req_t request, std::string_view value, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(request, value.size());
  } else if (value.size() > size) {
    fuse_reply_err(request, ERANGE);
  } else {
    fuse_reply_buf(request, value.data(), value.size());
  }
}

void GetXattr(fuse_req_t request, fuse_ino_t ino, const char* name, size_t size) {
  Guarded(request, "getxattr", ino, [&] {
    SessionState& state = StateOf(request);
    ++state.counters.getxattr;
    const Result<std::string> value = state.fs.GetXattr(ino, name);
    if (!value) return ReplyError(request, "getxattr", ino, value.error());
    ReplyValue(request, *value, size);
  });
}

void SetXattr(fuse_req_t request, fuse_ino_t ino, const char* name, const char* value, size_t size,
              int flags) {
  Guarded(request, "setxattr", ino, [&] {
    ReplyStatus(request, "setxattr", ino,
                StateOf(request).fs.SetXattr(ino, name, {value, size}, flags, CallerOf(request)));
  });
}

void RemoveXattr(fuse_req_t request, fuse_ino_t ino, const char* name) {
  Guarded(request, "removexattr", ino, [&] {
    ReplyStatus(request, "removexattr", ino, StateOf(request).fs.RemoveXattr(ino, name));
  });
}

// Who may not read a trusted xattr does not hear of it either, as on ext4.
void RemoveHidden(fuse_req_t request, std::vector<std::string>& names) {
  const auto is_trusted = [](const std::string& name) { return name.starts_with("trusted."); };
  if (std::any_of(names.begin(), names.end(), is_trusted) &&
      !HasCapability(request, CAP_SYS_ADMIN)) {
    std::erase_if(names, is_trusted);
  }
}

void ListXattrs(fuse_req_t request, fuse_ino_t ino, size_t size) {
  Guarded(request, "listxattr", ino, [&] {
    Result<std::vector<std::string>> names = StateOf(request).fs.ListXattrs(ino);
    if (!names) return ReplyError(request, "listxattr", ino, names.error());
    RemoveHidden(request, *names);
    std::string list;
    for (const std::string& name : *names) {
      list += name;
      list += '\0';
    }
    ReplyValue(request, list, size);
  });
}

}  // namespace

void SetXattrHandlers(fuse_lowlevel_ops& ops) {
  ops.getxattr = GetXattr;
  ops.setxattr = SetXattr;
  ops.removexattr = RemoveXattr;
  ops.listxattr = ListXattrs;
}

}  // namespace dedupfs
