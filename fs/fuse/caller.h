// Who sent a request. Internal to fs/fuse/.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "fs/fuse/lowlevel.h"
#include "fs/types.h"

namespace dedupfs {

// Valid while the request is unanswered: its functions look at the calling thread in
// /proc.
Caller CallerOf(fuse_req_t request);

// Whether the caller has a capability (CAP_SYS_ADMIN, ...) in the daemon's own user namespace
// (anybody has all capabilities in a namespace of his own). Where the caller is in another pid
// namespace, as root. Valid while the request is unanswered: looks in /proc.
bool HasCapability(fuse_req_t request, unsigned capability);
bool HasCapability(pid_t thread, uint32_t uid, unsigned capability);

// Whether the caller may change the flags of chattr(1): with CAP_LINUX_IMMUTABLE.
bool MayChangeFlags(fuse_req_t request);
bool MayChangeFlags(pid_t thread, uint32_t uid);

// The supplementary groups of a thread; none if it cannot be seen.
std::vector<uint32_t> GroupsOfThread(pid_t thread);

// The groups in the text of /proc/PID/status.
std::vector<uint32_t> ParseGroups(std::string_view status);

// The effective capabilities in it, by their numbers as bits; none where it does not tell.
uint64_t ParseCapabilities(std::string_view status);

}  // namespace dedupfs
