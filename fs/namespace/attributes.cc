// Changing attributes: chmod, chown, times, and the set-id bits that go with them.
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"
#include "fs/namespace/posix_acl.h"

namespace dedupfs {
namespace {

constexpr std::string_view kCapabilityName = "security.capability";

// S_ISGID without group execute meant mandatory locking, and stays for who may set it (ext4).
uint32_t WithoutSetId(const InodeRecord& record, const Caller& caller) {
  const uint32_t mode = record.mode & ~uint32_t{S_ISUID};
  if ((mode & S_ISGID) == 0) return mode;
  if ((mode & S_IXGRP) == 0 && MayKeepSetgid(caller, record.gid)) return mode;
  return mode & ~uint32_t{S_ISGID};
}

bool HasPrivileges(const InodeRecord& record, const Caller& caller) {
  return !IsDirectory(record) && (WithoutSetId(record, caller) != record.mode ||
                                  FindXattr(record, kCapabilityName) != nullptr);
}

void DropPrivileges(NameChange& change, Ino ino, InodeRecord& record, const Caller& caller) {
  if (!HasPrivileges(record, caller)) return;
  record.mode = WithoutSetId(record, caller);
  change.RemoveXattr(ino, record, kCapabilityName);
}

Status ChangeMode(NamespaceCore& core, NameChange& change, Ino ino, InodeRecord& record,
                  uint32_t mode, const Caller& caller) {
  mode &= 07777u;
  if ((mode & S_ISGID) != 0 && !MayKeepSetgid(caller, record.gid)) mode &= ~uint32_t{S_ISGID};
  record.mode = (record.mode & S_IFMT) | mode;
  DEDUPFS_ASSIGN_OR_RETURN(const auto xattr, core.Xattr(ino, record, kAccessAclName));
  if (!xattr) return Ok();
  auto acl = ParseAcl(*xattr);
  if (!acl) return Corrupt("the access ACL of inode " + std::to_string(ino));
  SetAclFromMode(*acl, mode);
  change.SetXattr(ino, record, kAccessAclName, EncodeAcl(*acl));
  return Ok();
}

void ChangeTimes(const AttributeChange& wanted, Time now, InodeRecord& record) {
  if (wanted.atime) record.atime = *wanted.atime;
  if (wanted.mtime && !S_ISREG(record.mode)) record.mtime = *wanted.mtime;
  record.ctime = wanted.ctime.value_or(now);
}

bool IsEmpty(const AttributeChange& wanted) {
  return !wanted.mode && !wanted.uid && !wanted.gid && !wanted.size && !wanted.atime &&
         !wanted.mtime && !wanted.ctime && !wanted.clear_privileges;
}

}  // namespace

Result<Attributes> Namespace::SetAttributes(Ino ino, const AttributeChange& wanted,
                                            const Caller& caller) {
  const InodeLocks::Guard guard(parts_->locks, {ino});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, change.Load(ino));
  if (IsEmpty(wanted)) return ToAttributes(ino, *record);
  if (wanted.clear_privileges || wanted.uid || wanted.gid) {
    DropPrivileges(change, ino, *record, caller);
  }
  record->uid = wanted.uid.value_or(record->uid);
  record->gid = wanted.gid.value_or(record->gid);
  if (wanted.mode) {
    DEDUPFS_RETURN_IF_ERROR(ChangeMode(*parts_, change, ino, *record, *wanted.mode, caller));
  }
  ChangeTimes(wanted, change.now(), *record);
  DEDUPFS_RETURN_IF_ERROR(change.Commit());
  return ToAttributes(ino, *record);
}

Result<bool> Namespace::ClearPrivileges(Ino ino, const Caller& caller) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto before, parts_->Load(ino));
  if (!HasPrivileges(before, caller)) return false;
  const InodeLocks::Guard guard(parts_->locks, {ino});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, change.Load(ino));
  if (!HasPrivileges(*record, caller)) return false;
  DropPrivileges(change, ino, *record, caller);
  record->ctime = change.now();
  DEDUPFS_RETURN_IF_ERROR(change.Commit());
  return true;
}

Status Namespace::Touch(Ino ino, Time ctime) {
  const InodeLocks::Guard guard(parts_->locks, {ino});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, change.Load(ino));
  if (record->ctime >= ctime) return Ok();
  record->ctime = ctime;
  return change.Commit();
}

}  // namespace dedupfs
