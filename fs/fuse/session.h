// A file system mounted through FUSE: the session between the kernel and a FileSystem.
//
// Thread safety: Run() once, from one thread; Stop() from any other thread, any number of times,
//                but not from a signal handler. Every Stop() must have returned before destruction.
// Ownership:     borrows the FileSystem, which outlives the session. All its OpenFiles that belong
//                to the session are released when the session is destroyed.
// Durability:    Stop() and a regular unmount first write every dirty page of the kernel into the
//                FileSystem; making that durable is the FileSystem's Close().
// Errors:        Mount: ENOENT or ENOTDIR (mount point), ENODEV (no /dev/fuse), EACCES or EPERM,
//                EBUSY (a DedupFS is mounted there), ENOTCONN (a dead FUSE mount is there), EINVAL
//                (an option). The message is fit for an operator.
// Units:         timeouts are seconds.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"
#include "fs/request_table.h"

namespace dedupfs {

struct RequestCounters;

struct SessionOptions {
  std::string mountpoint;
  std::string source;  // shown as the device of the mount; the store's path
  bool read_only = false;
  bool writeback_cache = true;      // never used by a read-only mount
  std::optional<bool> allow_other;  // unset: yes for root, no for others
  bool debug = false;               // libfuse logs every request
  // Every change goes through this session, so the kernel need not ask again.
  double entry_timeout_s = 86400;
  double attribute_timeout_s = 86400;
  // As in mount(8): dev, nodev, suid, nosuid, exec, noexec, noatime, ... For root dev and suid hold
  // unless nodev and nosuid are given. default_permissions is always on.
  std::vector<std::string> kernel_options;
};

// What stat shows: st_ino is the inode number, st_blksize 128 KiB (the kernel's readahead),
// st_blocks the 512-byte units that are no hole, before deduplication and compression; at least 1
// while a file is open for writing, since the kernel does not count what it has not written back.
class FuseSession {
 public:
  // Mounts; requests wait until Run().
  static Result<std::unique_ptr<FuseSession>> Mount(FileSystem& file_system,
                                                    const SessionOptions& options);
  // Unmounts, if it is still mounted.
  ~FuseSession();

  // Serves requests with several threads until the file system is unmounted, by Stop() or by
  // umount(8); it is unmounted when this returns.
  Status Run();
  // Writes the kernel's dirty pages back, detaches the mount, and makes Run() return. Files still
  // open there give ENOTCONN from then on. Before Run(): makes it return at once.
  void Stop();

  const RequestCounters& counters() const;
  const RequestTable& requests() const;

 private:
  struct Parts;
  explicit FuseSession(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dedupfs
