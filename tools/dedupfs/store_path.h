// Turns what the user typed into the paths of a store and its mount point.
//
// Thread safety: functions without state.
// Errors:        ENOENT or ENOTDIR naming the path that is not there.
#pragma once

#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

// Absolute and without symbolic links. Never looks at the last component itself where that does not
// answer: the mount point of a daemon that was killed.
Result<std::string> AbsolutePath(const std::string& path);

// The same for a path of which the last component may not be there yet.
Result<std::string> AbsoluteNewPath(const std::string& path);

// The store that is mounted at `target`, or `target` itself, which must be a directory then.
Result<std::string> StoreOf(const std::string& target);

// Whether `inner` is `outer` or lies below it. Both absolute.
bool IsInside(const std::string& inner, const std::string& outer);

}  // namespace dedupfs
