// Makes the kernel write its dirty pages into the file system. Internal to fs/fuse/.
//
// Thread safety: never on a worker thread of the session: the workers must be free to serve.
#pragma once

#include "fs/fuse/session_state.h"

namespace dedupfs {

// Returns when every page that was dirty at the call is written or failed; failures are logged.
// `root_fd` is the root directory of the mount.
void WriteBackDirtyPages(SessionState& state, int root_fd);

}  // namespace dedupfs
