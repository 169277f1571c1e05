// The request handlers of the bare pass-through, by topic.
//
// Thread safety: libfuse calls the handlers concurrently; what they share is PassthroughState.
#pragma once

#include <cerrno>

#include "fs/fuse/device_io.h"
#include "fs/fuse/lowlevel.h"
#include "tools/bench/passthrough_nodes.h"

namespace dedupfs {

// As in SessionOptions.
inline constexpr double kPassthroughTimeoutS = 86400;

// st_blksize as DedupFS tells it: programs choose their buffers by it.
inline constexpr blksize_t kPassthroughIoBytes = 128 << 10;

struct PassthroughState {
  explicit PassthroughState(int root_fd) : nodes(root_fd) {}

  PassthroughNodes nodes;
  DeviceIo device_io;
};

inline PassthroughNodes& NodesOf(fuse_req_t request) {
  return static_cast<PassthroughState*>(fuse_req_userdata(request))->nodes;
}

// For a result of a system call: 0, or -1 with errno.
inline void ReplyResult(fuse_req_t request, int result) {
  fuse_reply_err(request, result == 0 ? 0 : errno);
}

// OnFile<Handler>::Call is a handler of libfuse, and calls ours with an O_PATH descriptor in place
// of the inode number.
template <auto kHandler>
struct OnFile;

template <typename... Rest, void (*kHandler)(fuse_req_t, int, Rest...)>
struct OnFile<kHandler> {
  static void Call(fuse_req_t request, fuse_ino_t ino, Rest... rest) {
    const PassthroughFd file = NodesOf(request).Open(ino);
    if (file.get() < 0) {
      fuse_reply_err(request, errno);
    } else {
      kHandler(request, file.get(), rest...);
    }
  }
};

// What the calling thread makes next gets the requester's umask, which the kernel leaves to the
// file system: a default ACL takes its place.
void TakeUmaskOf(fuse_req_t request);  // passthrough_names.cc

void SetPassthroughNameHandlers(fuse_lowlevel_ops& ops);     // passthrough_names.cc
void SetPassthroughContentHandlers(fuse_lowlevel_ops& ops);  // passthrough_content.cc
void SetPassthroughXattrHandlers(fuse_lowlevel_ops& ops);    // passthrough_xattrs.cc

}  // namespace dedupfs
