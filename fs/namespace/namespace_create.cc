// Making inodes: owner, group, mode and ACLs as they are inherited.
#include <sys/stat.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fs/namespace/inode_flags.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"
#include "fs/namespace/posix_acl.h"

namespace dedupfs {
namespace {

struct InheritedAcls {
  std::string access;    // empty for none
  std::string defaults;  // the same
};

Status CheckNewInode(std::string_view name, uint32_t mode, std::string_view target) {
  DEDUPFS_RETURN_IF_ERROR(CheckName(name));
  if (IsDotName(name)) return Fail(EEXIST, "the name . or ..");
  if (!IsValidMode(mode)) return Fail(EINVAL, "no file type in the mode");
  if (!S_ISLNK(mode)) return Ok();
  if (target.empty()) return Fail(ENOENT, "a symlink to nothing");
  if (target.size() > kMaxSymlinkBytes) return Fail(ENAMETOOLONG, "symlink target too long");
  if (target.find('\0') != std::string_view::npos) return Fail(EINVAL, "NUL in a symlink target");
  return Ok();
}

void InheritGroup(const InodeRecord& parent, const Caller& caller, InodeRecord& record) {
  record.gid = caller.gid;
  if ((parent.mode & S_ISGID) == 0) return;
  record.gid = parent.gid;
  if (IsDirectory(record)) {
    record.mode |= S_ISGID;
  } else if ((record.mode & S_IXGRP) != 0 && !MayKeepSetgid(caller, record.gid)) {
    record.mode &= ~uint32_t{S_ISGID};
  }
}

// The default ACL of the parent takes the place of the umask.
Result<InheritedAcls> InheritMode(NamespaceCore& core, Ino parent_ino, const InodeRecord& parent,
                                  const Caller& caller, InodeRecord& record) {
  InheritedAcls out;
  if (S_ISLNK(record.mode)) {
    record.mode = S_IFLNK | 0777;
    return out;
  }
  DEDUPFS_ASSIGN_OR_RETURN(auto defaults, core.Xattr(parent_ino, parent, kDefaultAclName));
  if (!defaults) {
    record.mode &= ~(caller.umask & 0777u);
    return out;
  }
  auto acl = ParseAcl(*defaults);
  if (!acl) return Corrupt("the default ACL of inode " + std::to_string(parent_ino));
  if (!InheritAcl(*acl, record.mode)) out.access = EncodeAcl(*acl);
  if (IsDirectory(record)) out.defaults = std::move(*defaults);
  return out;
}

void SetTimes(InodeRecord& record, Time now) {
  record.atime = record.mtime = record.ctime = record.btime = now;
}

}  // namespace

Result<Attributes> Namespace::Create(Ino parent, std::string_view name, uint32_t mode,
                                     uint64_t rdev, std::string_view target, const Caller& caller) {
  if ((mode & S_IFMT) == 0) mode |= S_IFREG;  // as mknod(2) reads it
  DEDUPFS_RETURN_IF_ERROR(CheckNewInode(name, mode, target));
  // Before the lock, as a new range of numbers waits for the disk; a number may be lost that way.
  DEDUPFS_ASSIGN_OR_RETURN(const Ino ino, parts_->inos.Next());
  const InodeLocks::Guard guard(parts_->locks, {parent});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const directory, change.LoadParent(parent));
  DEDUPFS_ASSIGN_OR_RETURN(const DentrySlot slot, parts_->dentries.Probe(parent, name));
  if (slot.entry) return Fail(EEXIST, "name taken in directory inode " + std::to_string(parent));
  DEDUPFS_RETURN_IF_ERROR(CheckTakesEntries(*directory, parent));
  if (S_ISDIR(mode) && directory->nlink >= kMaxLinks) {
    return Fail(EMLINK, "directory inode " + std::to_string(parent) + ": too many directories");
  }

  InodeRecord record;
  record.mode = mode;
  record.nlink = S_ISDIR(mode) ? 2 : 1;
  record.uid = caller.uid;
  record.rdev = S_ISCHR(mode) || S_ISBLK(mode) ? rdev : 0;
  record.parent = parent;
  record.cookie = slot.cookie;
  if (S_ISLNK(mode)) record.target = target;
  SetTimes(record, change.now());
  InheritGroup(*directory, caller, record);
  DEDUPFS_ASSIGN_OR_RETURN(const InheritedAcls acls,
                           InheritMode(*parts_, parent, *directory, caller, record));
  if (!acls.access.empty()) change.SetXattr(ino, record, kAccessAclName, acls.access);
  if (!acls.defaults.empty()) change.SetXattr(ino, record, kDefaultAclName, acls.defaults);
  ++directory->entries;
  if (S_ISDIR(mode)) ++directory->nlink;
  ChangedEntries(*directory, change.now());
  change.PutEntry(parent, slot.cookie, Dentry{ino, mode & S_IFMT, std::string(name)});
  const InodeRecord* const made = change.Add(ino, std::move(record));
  parts_->CountInodes(1, change.batch());
  if (Status written = change.Commit(); !written) {
    --parts_->inode_count;
    return Fail(std::move(written.error()));
  }
  return ToAttributes(ino, *made);
}

}  // namespace dedupfs
