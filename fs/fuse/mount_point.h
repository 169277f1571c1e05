// The directory that a session is mounted on. Internal to fs/fuse/.
//
// Errors: those of FuseSession::Mount(), with messages fit for an operator.
#pragma once

#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

// The absolute path of the directory, if a file system can be mounted there.
Result<std::string> CheckMountPoint(const std::string& path);
Status CheckFuseDevice();

struct MountEntry {
  std::string type;    // such as "fuse.dedupfs"
  std::string device;  // "major:minor", one's own for each mounted file system
  bool operator==(const MountEntry&) const = default;
};

// What is mounted on exactly this absolute path, the last of several; empty strings if nothing.
// Asks the kernel only, not the daemon of the mount.
MountEntry MountAt(const std::string& absolute_path);

// How far ahead of a sequential reader the kernel asks, in KiB; needs root.
Status SetReadahead(const MountEntry& mount, unsigned kibibytes);

// Takes the mount out of the tree at once; it lives on for files that are open in it.
Status DetachMount(const std::string& mountpoint);

}  // namespace dedupfs
