// The small values that every part of the file system speaks in.
//
// Units: times are nanoseconds since 1970-01-01 UTC; sizes and offsets are bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dedupfs {

using Ino = uint64_t;  // inode number, never reused; also the FUSE node id
inline constexpr Ino kRootIno = 1;
inline constexpr Ino kFirstFreeIno = 16;

using Time = int64_t;
// CLOCK_REALTIME_COARSE, by which the kernel stamps its own: with a finer clock its first write to
// a new file would change the times that we gave, and cost a SETATTR.
Time Now();

// Who says when a write happened: we, or the kernel, which keeps the times of what it has cached
// and tells them with SETATTR.
enum class WriteTimes { kNow, kKernels };

// What a write is: a program's, or pages that the kernel has cached for some handle of the inode
// and writes back by another.
enum class WriteOrigin { kProgram, kCache };

inline constexpr uint64_t kMaxFileSize = 16ull << 40;
inline constexpr size_t kMaxNameBytes = 255;
inline constexpr size_t kMaxSymlinkBytes = 4095;
inline constexpr size_t kMaxXattrNameBytes = 255;
inline constexpr size_t kMaxXattrValueBytes = 65536;
inline constexpr size_t kMaxXattrListBytes = 65536;
inline constexpr uint32_t kMaxLinks = 65000;
inline constexpr size_t kHoleBlock = 4096;  // holes are runs of whole aligned blocks of this size

// Flags of an inode, as chattr(1) sets them with +i and +a.
inline constexpr uint32_t kImmutable = 1;
inline constexpr uint32_t kAppendOnly = 2;

struct Attributes {
  Ino ino = 0;
  uint32_t mode = 0;  // type and permissions, as st_mode
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;  // 512-byte units of the logical bytes that are no hole
  Time atime = 0, mtime = 0, ctime = 0, btime = 0;
  uint32_t flags = 0;  // kImmutable, kAppendOnly
};

// Who asks. The kernel has checked permissions already (default_permissions); this decides owners
// of new inodes and what root may keep. `groups` gives the supplementary groups when asked for;
// `may_keep_set_id`, whether root holds CAP_FSETID (unset: it does).
struct Caller {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t umask = 0;
  std::function<std::vector<uint32_t>()> groups;
  std::function<bool()> may_keep_set_id;
};

struct AttributeChange {
  std::optional<uint32_t> mode;  // permission bits
  std::optional<uint32_t> uid, gid;
  std::optional<uint64_t> size;
  std::optional<Time> atime, mtime, ctime;
  bool times_are_now = false;  // a touch, which a writer may do
  bool clear_privileges =
      false;  // FUSE_WRITE_KILL / HANDLE_KILLPRIV: drop set-id bits with a size change
};

struct DirectoryEntry {
  std::string name;
  Ino ino = 0;
  uint32_t type = 0;    // the S_IFMT bits
  uint64_t cookie = 0;  // 63 bits; listing goes on after it
};

}  // namespace dedupfs
