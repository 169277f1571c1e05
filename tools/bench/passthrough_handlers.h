// The request handlers of the bare pass-through, by topic.
//
// Thread safety: libfuse calls the handlers concurrently; what they share is PassthroughNodes.
#pragma once

#include "fs/fuse/lowlevel.h"
#include "tools/bench/passthrough_nodes.h"

namespace dedupfs {

// As in SessionOptions.
inline constexpr double kPassthroughTimeoutS = 86400;

inline PassthroughNodes& NodesOf(fuse_req_t request) {
  return *static_cast<PassthroughNodes*>(fuse_req_userdata(request));
}

void SetPassthroughNameHandlers(fuse_lowlevel_ops& ops);     // passthrough_names.cc
void SetPassthroughContentHandlers(fuse_lowlevel_ops& ops);  // passthrough_content.cc

}  // namespace dedupfs
