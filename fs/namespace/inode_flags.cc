#include "fs/namespace/inode_flags.h"

#include <cerrno>
#include <string>

#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

Status Protected(Ino ino) {
  return Fail(EPERM, "inode " + std::to_string(ino) + " is immutable or append-only");
}

size_t ListBytes(const InodeRecord& record) {
  size_t bytes = 0;
  for (const XattrEntry& entry : record.xattrs) bytes += entry.name.size() + 1;
  return bytes;
}

void SetFlag(NameChange& change, Ino ino, InodeRecord& record, std::string_view name, bool on) {
  const bool is_on = FindXattr(record, name) != nullptr;
  if (on && !is_on) change.SetXattr(ino, record, name, {});
  if (!on && is_on) change.RemoveXattr(ino, record, name);
}

}  // namespace

bool IsFlagName(std::string_view name) { return name == kImmutableName || name == kAppendOnlyName; }

uint32_t FlagsOf(const InodeRecord& record) {
  if (record.xattrs.empty()) return 0;
  uint32_t flags = 0;
  if (FindXattr(record, kImmutableName) != nullptr) flags |= kImmutable;
  if (FindXattr(record, kAppendOnlyName) != nullptr) flags |= kAppendOnly;
  return flags;
}

Status CheckNotProtected(const InodeRecord& record, Ino ino) {
  return FlagsOf(record) == 0 ? Ok() : Protected(ino);
}

Status CheckTakesEntries(const InodeRecord& directory, Ino ino) {
  return (FlagsOf(directory) & kImmutable) == 0 ? Ok() : Protected(ino);
}

Status Namespace::SetFlags(Ino ino, uint32_t flags) {
  const InodeLocks::Guard guard(parts_->locks, {ino});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, change.Load(ino));
  if (FlagsOf(*record) == flags) return Ok();
  SetFlag(change, ino, *record, kImmutableName, (flags & kImmutable) != 0);
  SetFlag(change, ino, *record, kAppendOnlyName, (flags & kAppendOnly) != 0);
  if (ListBytes(*record) > kMaxXattrListBytes) return Fail(ENOSPC, "xattr names of over 64 KiB");
  record->ctime = change.now();
  return change.Commit();
}

}  // namespace dedupfs
