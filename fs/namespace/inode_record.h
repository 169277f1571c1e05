// The record of one inode, as kInode keeps it (format: docs/format/inode.md).
//
// Thread safety: values and functions without state.
// Errors:        EIO naming the inode for bytes that are no valid record.
// Units:         see fs/types.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"
#include "fs/types.h"

namespace dedupfs {

inline constexpr uint8_t kInodeVersion = 1;
inline constexpr size_t kMaxInlineXattrBytes = 256;        // one value
inline constexpr size_t kMaxInlineXattrTotalBytes = 1024;  // names and values of all inline ones
inline constexpr uint64_t kDirectorySizeBytes = 4096;      // st_size of every directory

struct XattrEntry {
  std::string name;
  std::string value;  // empty where it is not inline
  uint32_t size = 0;  // of the value
  bool is_inline = true;
};

struct InodeRecord {
  uint32_t mode = 0;
  uint32_t nlink = 0;  // of a directory: 2 + its subdirectories; 0: an orphan
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  Ino parent = 0;       // of a directory its "..", else where the last name was given (0: unknown)
  uint64_t cookie = 0;  // of the entry in `parent`
  Time atime = 0, mtime = 0, ctime = 0, btime = 0;
  uint64_t entries = 0;            // of a directory, without . and ..
  std::string target;              // of a symlink
  std::vector<XattrEntry> xattrs;  // in the order of their names
};

std::string InodeKey(Ino ino);
std::string XattrKey(Ino ino, std::string_view name);

std::string EncodeInode(const InodeRecord& record);
Result<InodeRecord> ParseInode(Ino ino, std::string_view value);

bool IsDirectory(const InodeRecord& record);
// One of the seven file types, and nothing but type and permission bits.
bool IsValidMode(uint64_t mode);
Attributes ToAttributes(Ino ino, const InodeRecord& record);

// The entry called `name`, or null.
const XattrEntry* FindXattr(const InodeRecord& record, std::string_view name);

}  // namespace dedupfs
