// The mounts of DedupFS that the kernel knows, from /proc/self/mountinfo.
//
// Thread safety: functions without state.
// Errors:        errno of reading the table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"

namespace dedupfs {

struct MountEntry {
  std::string mountpoint;
  std::string source;  // the store
};

// The mounts of type fuse.dedupfs in a table of proc(5)'s mountinfo format; lines that do not have
// its shape are left out.
std::vector<MountEntry> ParseMountTable(std::string_view table);

Result<std::vector<MountEntry>> ReadMountTable();

// The topmost one whose mount point or source is `path`.
Result<std::optional<MountEntry>> FindMount(const std::string& path);

}  // namespace dedupfs
