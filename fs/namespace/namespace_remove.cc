// Taking names away, and the orphans that are left.
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/coding.h"
#include "fs/namespace/inode_flags.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

enum class Remove { kFile, kDirectory };

Status CheckRemovable(const InodeRecord& record, Ino ino, Remove what) {
  const std::string message = "inode " + std::to_string(ino);
  if (what == Remove::kFile) {
    return IsDirectory(record) ? Fail(EISDIR, message) : Ok();
  }
  if (!IsDirectory(record)) return Fail(ENOTDIR, message);
  if (record.entries != 0) return Fail(ENOTEMPTY, "directory " + message);
  return Ok();
}

// None where the name came to mean another inode than `ino`.
Result<std::optional<Unlinked>> RemoveLocked(NamespaceCore& core, Ino parent, std::string_view name,
                                             Ino ino, Remove what) {
  const InodeLocks::Guard guard(core.locks, {parent, ino});
  DEDUPFS_ASSIGN_OR_RETURN(const auto slot, core.dentries.Find(parent, name));
  if (!slot || slot->entry->ino != ino) return std::optional<Unlinked>();
  NameChange change(core);
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const directory, change.LoadParent(parent));
  auto loaded = change.Load(ino);
  if (!loaded) {
    if (loaded.error().code != ESTALE) return Fail(loaded.error());
    return Corrupt("an entry of directory inode " + std::to_string(parent) + " names no inode");
  }
  InodeRecord& record = **loaded;
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(*directory, parent));
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(record, ino));
  DEDUPFS_RETURN_IF_ERROR(CheckRemovable(record, ino, what));
  if (what == Remove::kDirectory && directory->nlink > 2) --directory->nlink;
  if (directory->entries > 0) --directory->entries;
  ChangedEntries(*directory, change.now());
  change.DeleteEntry(parent, slot->cookie);
  const Unlinked unlinked = change.DropName(ino, record, parent, slot->cookie);
  DEDUPFS_RETURN_IF_ERROR(change.Commit());
  return std::optional<Unlinked>(unlinked);
}

Result<Unlinked> RemoveName(NamespaceCore& core, Ino parent, std::string_view name, Remove what) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto directory, core.Load(parent));
  if (!IsDirectory(directory)) return Fail(ENOTDIR, "inode " + std::to_string(parent));
  for (;;) {
    // Which lock to take is known only once the name was read; so read it, lock, and look again.
    DEDUPFS_ASSIGN_OR_RETURN(const auto slot, core.dentries.Find(parent, name));
    if (!slot) return Fail(ENOENT, "no such name in directory inode " + std::to_string(parent));
    DEDUPFS_ASSIGN_OR_RETURN(const auto unlinked,
                             RemoveLocked(core, parent, name, slot->entry->ino, what));
    if (unlinked) return *unlinked;
  }
}

}  // namespace

Result<Unlinked> Namespace::Unlink(Ino parent, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(CheckName(name));
  if (IsDotName(name)) return Fail(EISDIR, "the name . or ..");
  return RemoveName(*parts_, parent, name, Remove::kFile);
}

Result<Unlinked> Namespace::RemoveDirectory(Ino parent, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(CheckName(name));
  if (name == ".") return Fail(EINVAL, "the name .");
  if (name == "..") return Fail(ENOTEMPTY, "the name ..");
  return RemoveName(*parts_, parent, name, Remove::kDirectory);
}

Result<std::vector<Ino>> Namespace::Orphans() {
  std::vector<Ino> out;
  const auto rows = parts_->kv.Iterate(Family::kOrphan, {}, {});
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 8) return Corrupt("an orphan row");
    out.push_back(ParseBigU64(rows->key()));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return out;
}

Status Namespace::EraseOrphan(Ino ino, Batch& batch) {
  const InodeLocks::Guard guard(parts_->locks, {ino});
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, parts_->Find(ino));
  if (record && record->nlink != 0) {
    return Corrupt("orphan inode " + std::to_string(ino) + " has names");
  }
  batch.Delete(Family::kOrphan, InodeKey(ino));
  if (!record) return Ok();
  for (const XattrEntry& entry : record->xattrs) {
    if (!entry.is_inline) batch.Delete(Family::kXattr, XattrKey(ino, entry.name));
  }
  batch.Delete(Family::kInode, InodeKey(ino));
  parts_->CountInodes(-1, batch);
  return Ok();
}

}  // namespace dedupfs
