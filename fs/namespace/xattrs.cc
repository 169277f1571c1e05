// Extended attributes and ACLs.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fs/namespace/inode_flags.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"
#include "fs/namespace/posix_acl.h"

namespace dedupfs {
namespace {

bool IsAclName(std::string_view name) { return name == kAccessAclName || name == kDefaultAclName; }

Status CheckXattrName(std::string_view name) {
  if (name.empty() || name.size() > kMaxXattrNameBytes) {
    return Fail(ERANGE, "xattr name of no or over 255 bytes");
  }
  if (name.find('\0') != std::string_view::npos) return Fail(EINVAL, "NUL in an xattr name");
  return Ok();
}

// As for names of xattrs that no file can have.
Status CheckNamespace(std::string_view name) {
  for (const std::string_view prefix : {"user.", "trusted.", "security."}) {
    if (name == prefix) return Fail(EINVAL, "an xattr name of a prefix alone");
    if (name.starts_with(prefix)) return Ok();
  }
  if (IsAclName(name)) return Ok();
  return Fail(EOPNOTSUPP, "no xattr namespace of this name");
}

Status NoXattr(Ino ino, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(CheckNamespace(name));
  return Fail(ENODATA, "inode " + std::to_string(ino));
}

Status CheckSet(const InodeRecord& record, std::string_view name, std::string_view value,
                int flags) {
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return Fail(EINVAL, "unknown xattr flags");
  if (value.size() > kMaxXattrValueBytes) return Fail(E2BIG, "xattr value of over 64 KiB");
  const bool there = FindXattr(record, name) != nullptr;
  if (there && (flags & XATTR_CREATE) != 0) return Fail(EEXIST, "xattr is there");
  if (!there && (flags & XATTR_REPLACE) != 0) return Fail(ENODATA, "xattr is not there");
  if (there) return Ok();
  size_t list_bytes = name.size() + 1;
  for (const XattrEntry& entry : record.xattrs) list_bytes += entry.name.size() + 1;
  if (list_bytes > kMaxXattrListBytes) return Fail(ENOSPC, "xattr names of over 64 KiB");
  return Ok();
}

// An ACL that the mode says as well is not kept, and "no ACL" takes one away.
Status SetAcl(NameChange& change, Ino ino, InodeRecord& record, std::string_view name,
              std::string_view value, const Caller& caller) {
  if (S_ISLNK(record.mode)) return Fail(EOPNOTSUPP, "ACL of a symlink");
  DEDUPFS_ASSIGN_OR_RETURN(const Acl acl, ParseAcl(value));
  if (name == kDefaultAclName) {
    if (acl.empty()) {
      change.RemoveXattr(ino, record, name);
    } else if (!IsDirectory(record)) {
      return Fail(EACCES, "default ACL of what is no directory");
    } else {
      change.SetXattr(ino, record, name, EncodeAcl(acl));
    }
    return Ok();
  }
  if (acl.empty() || SetModeFromAcl(acl, record.mode)) {
    change.RemoveXattr(ino, record, name);
  } else {
    change.SetXattr(ino, record, name, EncodeAcl(acl));
  }
  if (!acl.empty() && (record.mode & S_ISGID) != 0 && !MayKeepSetgid(caller, record.gid)) {
    record.mode &= ~uint32_t{S_ISGID};
  }
  return Ok();
}

}  // namespace

Result<std::string> Namespace::GetXattr(Ino ino, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(CheckXattrName(name));
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, parts_->Load(ino));
  const XattrEntry* const entry = FindXattr(record, name);
  if (entry == nullptr || IsFlagName(name)) return Fail(NoXattr(ino, name).error());
  if (entry->is_inline) return entry->value;
  // Record and row are two reads, so nothing may change between them.
  const InodeLocks::Guard guard(parts_->locks, {ino});
  DEDUPFS_ASSIGN_OR_RETURN(const auto current, parts_->Load(ino));
  DEDUPFS_ASSIGN_OR_RETURN(auto value, parts_->Xattr(ino, current, name));
  if (!value) return Fail(ENODATA, "inode " + std::to_string(ino));
  return *std::move(value);
}

Status Namespace::SetXattr(Ino ino, std::string_view name, std::string_view value, int flags,
                           const Caller& caller) {
  DEDUPFS_RETURN_IF_ERROR(CheckXattrName(name));
  DEDUPFS_RETURN_IF_ERROR(CheckNamespace(name));
  const InodeLocks::Guard guard(parts_->locks, {ino});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, change.Load(ino));
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(*record, ino));
  DEDUPFS_RETURN_IF_ERROR(CheckSet(*record, name, value, flags));
  if (IsAclName(name)) {
    DEDUPFS_RETURN_IF_ERROR(SetAcl(change, ino, *record, name, value, caller));
  } else {
    change.SetXattr(ino, *record, name, value);
  }
  record->ctime = change.now();
  return change.Commit();
}

Status Namespace::RemoveXattr(Ino ino, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(CheckXattrName(name));
  const InodeLocks::Guard guard(parts_->locks, {ino});
  NameChange change(*parts_);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, change.Load(ino));
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(*record, ino));
  if (FindXattr(*record, name) == nullptr || IsFlagName(name)) {
    // ext4 takes an ACL away that is not there, since the mode is an ACL, too.
    return IsAclName(name) ? Ok() : NoXattr(ino, name);
  }
  change.RemoveXattr(ino, *record, name);
  record->ctime = change.now();
  return change.Commit();
}

Result<std::vector<std::string>> Namespace::ListXattrs(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(auto record, parts_->Load(ino));
  std::vector<std::string> names;
  names.reserve(record.xattrs.size());
  for (XattrEntry& entry : record.xattrs) {
    if (!IsFlagName(entry.name)) names.push_back(std::move(entry.name));
  }
  return names;
}

}  // namespace dedupfs
