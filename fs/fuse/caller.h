// Who sent a request. Internal to fs/fuse/.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "fs/fuse/lowlevel.h"
#include "fs/types.h"

namespace dedupfs {

// Valid while the request is unanswered: its `groups` looks at the calling thread in /proc.
Caller CallerOf(fuse_req_t request);

// The supplementary groups of a thread; none if it cannot be seen.
std::vector<uint32_t> GroupsOfThread(pid_t thread);

// The groups in the text of /proc/PID/status.
std::vector<uint32_t> ParseGroups(std::string_view status);

}  // namespace dedupfs
