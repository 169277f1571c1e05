// Hard links.
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "fs/namespace/inode_flags.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {

Result<Attributes> Namespace::Link(Ino ino, Ino parent, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(CheckName(name));
  if (IsDotName(name)) return Fail(EEXIST, "the name . or ..");
  const InodeLocks::Guard guard(parts_->locks, {ino, parent});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, change.Load(ino));
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const directory, change.LoadParent(parent));
  const std::string message = "inode " + std::to_string(ino);
  if (IsDirectory(*record)) return Fail(EPERM, message + " is a directory");
  DEDUPFS_ASSIGN_OR_RETURN(const DentrySlot slot, parts_->dentries.Probe(parent, name));
  if (slot.entry) return Fail(EEXIST, "name taken in directory inode " + std::to_string(parent));
  DEDUPFS_RETURN_IF_ERROR(CheckTakesEntries(*directory, parent));
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(*record, ino));
  if (record->nlink == 0) return Fail(ENOENT, message + " has no name left");
  if (record->nlink >= kMaxLinks) return Fail(EMLINK, message + " has too many links");

  ++record->nlink;
  record->ctime = change.now();
  record->parent = parent;
  record->cookie = slot.cookie;
  ++directory->entries;
  ChangedEntries(*directory, change.now());
  change.PutEntry(parent, slot.cookie, Dentry{ino, record->mode & S_IFMT, std::string(name)});
  DEDUPFS_RETURN_IF_ERROR(change.Commit());
  return ToAttributes(ino, *record);
}

}  // namespace dedupfs
