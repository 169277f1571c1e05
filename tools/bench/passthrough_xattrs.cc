// Extended attributes; POSIX ACLs are among them. An O_PATH descriptor has none, its path in /proc
// has, also for a symlink, which the path does not follow any further.
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "tools/bench/passthrough_handlers.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxXattrBytes = 64 << 10;

// `call(buffer, size)` as getxattr(2). A size of 0 asks how much there is.
template <typename Call>
void ReplyXattr(fuse_req_t request, size_t size, const Call& call) {
  std::vector<char> value(std::min(size, kMaxXattrBytes));
  const ssize_t got = call(value.data(), value.size());
  if (got < 0) {
    fuse_reply_err(request, errno);
  } else if (size == 0) {
    fuse_reply_xattr(request, static_cast<size_t>(got));
  } else {
    fuse_reply_buf(request, value.data(), static_cast<size_t>(got));
  }
}

void GetXattr(fuse_req_t request, int fd, const char* name, size_t size) {
  ReplyXattr(request, size, [&](char* buffer, size_t buffer_size) {
    return ::getxattr(ProcPath(fd).c_str(), name, buffer, buffer_size);
  });
}

void ListXattrs(fuse_req_t request, int fd, size_t size) {
  ReplyXattr(request, size, [&](char* buffer, size_t buffer_size) {
    return ::listxattr(ProcPath(fd).c_str(), buffer, buffer_size);
  });
}

void SetXattr(fuse_req_t request, int fd, const char* name, const char* value, size_t size,
              int flags) {
  ReplyResult(request, ::setxattr(ProcPath(fd).c_str(), name, value, size, flags));
}

void RemoveXattr(fuse_req_t request, int fd, const char* name) {
  ReplyResult(request, ::removexattr(ProcPath(fd).c_str(), name));
}

}  // namespace

void SetPassthroughXattrHandlers(fuse_lowlevel_ops& ops) {
  ops.getxattr = OnFile<GetXattr>::Call;
  ops.listxattr = OnFile<ListXattrs>::Call;
  ops.setxattr = OnFile<SetXattr>::Call;
  ops.removexattr = OnFile<RemoveXattr>::Call;
}

}  // namespace dedupfs
