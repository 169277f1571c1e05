// The -o options that libfuse gets for a session. Internal to fs/fuse/.
#pragma once

#include <string>

#include "chunkstore/base/error.h"
#include "fs/fuse/session.h"

namespace dedupfs {

// One string for -o. EINVAL: a kernel option that is not known.
Result<std::string> SessionArguments(const SessionOptions& options, bool is_root);

}  // namespace dedupfs
