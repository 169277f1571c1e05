#include "fs/namespace/inode_record.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "chunkstore/base/coding.h"
#include "fs/namespace/inode_flags.h"

namespace dedupfs {
namespace {

constexpr uint8_t kInlineValue = 0;
constexpr uint8_t kRowValue = 1;

// Varint that must fit 32 bits.
bool TakeU32(Decoder& in, uint32_t& out) {
  const uint64_t value = in.Varint();
  out = static_cast<uint32_t>(value);
  return in.ok() && value <= std::numeric_limits<uint32_t>::max();
}

bool TakeXattr(Decoder& in, XattrEntry& entry) {
  entry.name = in.String();
  const uint8_t where = in.U8();
  if (!in.ok() || entry.name.empty() || entry.name.size() > kMaxXattrNameBytes) return false;
  if (entry.name.find('\0') != std::string::npos) return false;
  entry.is_inline = where == kInlineValue;
  if (entry.is_inline) {
    entry.value = in.String();
    entry.size = static_cast<uint32_t>(entry.value.size());
    return in.ok() && entry.value.size() <= kMaxInlineXattrBytes;
  }
  return where == kRowValue && TakeU32(in, entry.size) && entry.size <= kMaxXattrValueBytes;
}

bool TakeXattrs(Decoder& in, std::vector<XattrEntry>& xattrs) {
  const uint64_t count = in.Varint();
  if (!in.ok() || count > in.remaining()) return false;
  size_t inline_total = 0, list_total = 0;
  for (uint64_t i = 0; i < count; ++i) {
    XattrEntry entry;
    if (!TakeXattr(in, entry)) return false;
    if (!xattrs.empty() && xattrs.back().name >= entry.name) return false;
    if (entry.is_inline) inline_total += entry.name.size() + entry.value.size();
    list_total += entry.name.size() + 1;
    if (inline_total > kMaxInlineXattrTotalBytes || list_total > kMaxXattrListBytes) return false;
    xattrs.push_back(std::move(entry));
  }
  return true;
}

bool IsConsistent(const InodeRecord& record) {
  if (!IsValidMode(record.mode)) return false;
  const bool directory = IsDirectory(record);
  const bool device = S_ISCHR(record.mode) || S_ISBLK(record.mode);
  if (!directory && (record.entries != 0 || record.nlink > kMaxLinks)) return false;
  if (directory && (record.nlink == 1 || record.nlink > kMaxLinks)) return false;
  if (!device && record.rdev != 0) return false;
  if (!S_ISLNK(record.mode)) return record.target.empty();
  return !record.target.empty() && record.target.size() <= kMaxSymlinkBytes &&
         record.target.find('\0') == std::string::npos;
}

}  // namespace

std::string InodeKey(Ino ino) { return BigU64(ino); }

std::string XattrKey(Ino ino, std::string_view name) {
  std::string key = BigU64(ino);
  key += name;
  return key;
}

bool IsDirectory(const InodeRecord& record) { return S_ISDIR(record.mode); }

bool IsValidMode(uint64_t mode) {
  if ((mode & ~uint64_t{S_IFMT | 07777}) != 0) return false;
  switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
      return true;
    default:
      return false;
  }
}

std::string EncodeInode(const InodeRecord& record) {
  std::string out;
  out.reserve(96 + record.target.size());
  PutU8(out, kInodeVersion);
  PutVarint(out, record.mode);
  PutVarint(out, record.nlink);
  PutVarint(out, record.uid);
  PutVarint(out, record.gid);
  PutVarint(out, record.rdev);
  PutVarint(out, record.parent);
  PutU64(out, record.cookie);
  for (const Time time : {record.atime, record.mtime, record.ctime, record.btime}) {
    PutU64(out, static_cast<uint64_t>(time));
  }
  PutVarint(out, record.entries);
  PutString(out, record.target);
  PutVarint(out, record.xattrs.size());
  for (const XattrEntry& entry : record.xattrs) {
    PutString(out, entry.name);
    PutU8(out, entry.is_inline ? kInlineValue : kRowValue);
    if (entry.is_inline) {
      PutString(out, entry.value);
    } else {
      PutVarint(out, entry.size);
    }
  }
  return out;
}

Result<InodeRecord> ParseInode(Ino ino, std::string_view value) {
  Decoder in(value);
  InodeRecord record;
  bool valid = in.U8() == kInodeVersion && TakeU32(in, record.mode) && TakeU32(in, record.nlink) &&
               TakeU32(in, record.uid) && TakeU32(in, record.gid);
  if (valid) {
    record.rdev = in.Varint();
    record.parent = in.Varint();
    record.cookie = in.U64();
    for (Time* time : {&record.atime, &record.mtime, &record.ctime, &record.btime}) {
      *time = static_cast<Time>(in.U64());
    }
    record.entries = in.Varint();
    record.target = in.String();
    valid = in.ok() && TakeXattrs(in, record.xattrs) && in.AtEnd() && IsConsistent(record);
  }
  if (!valid) return Corrupt("inode record " + std::to_string(ino));
  return record;
}

Attributes ToAttributes(Ino ino, const InodeRecord& record) {
  Attributes out;
  out.ino = ino;
  out.mode = record.mode;
  out.nlink = record.nlink;
  out.uid = record.uid;
  out.gid = record.gid;
  out.rdev = record.rdev;
  out.size = IsDirectory(record) ? kDirectorySizeBytes : record.target.size();
  out.blocks = IsDirectory(record) ? kDirectorySizeBytes / 512 : 0;
  out.atime = record.atime;
  out.mtime = record.mtime;
  out.ctime = record.ctime;
  out.btime = record.btime;
  out.flags = FlagsOf(record);
  return out;
}

const XattrEntry* FindXattr(const InodeRecord& record, std::string_view name) {
  const auto at = std::lower_bound(
      record.xattrs.begin(), record.xattrs.end(), name,
      [](const XattrEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return at != record.xattrs.end() && at->name == name ? &*at : nullptr;
}

}  // namespace dedupfs
