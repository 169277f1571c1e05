#include "fs/namespace/namespace_core.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"

namespace dedupfs {
namespace {

constexpr uint64_t kInoStep = 65536;  // each reservation costs a sync

std::string EncodeCount(uint64_t count) {
  std::string value;
  PutU64(value, count);
  return value;
}

}  // namespace

NamespaceCore::NamespaceCore(Kv& store, NameHash hash, bool store_is_read_only, uint64_t inodes,
                             bool names_collide)
    : kv(store),
      read_only(store_is_read_only),
      dentries(store, hash, names_collide),
      folded(std::move(hash)),
      inos(store, "next_ino", kInoStep, kFirstFreeIno),
      inode_count(inodes) {}

NamespaceCore::~NamespaceCore() {
  if (read_only || !kv.Failure()) return;
  // Batches that were written out of order may have left an older sum.
  Batch batch;
  batch.Put(Family::kMeta, kInodeCountKey, EncodeCount(inode_count.load()));
  if (const Status written = kv.Write(batch, Durability::kBuffered); !written) {
    LogWarn("inode_count_not_saved", "error=\"" + written.error().message + "\"");
  }
}

Result<std::optional<InodeRecord>> NamespaceCore::Find(Ino ino) {
  const InodeCache::Answer known = cache.Find(ino);
  if (known.record != nullptr) return std::optional<InodeRecord>(*known.record);
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv.Get(Family::kInode, InodeKey(ino)));
  if (!value) return std::optional<InodeRecord>();
  DEDUPFS_ASSIGN_OR_RETURN(auto record, ParseInode(ino, *value));
  cache.Offer(ino, known.ticket, record);
  return std::optional<InodeRecord>(std::move(record));
}

Result<InodeRecord> NamespaceCore::Load(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(auto record, Find(ino));
  if (!record) return Fail(ESTALE, "inode " + std::to_string(ino) + " is unknown");
  return std::move(*record);
}

Result<std::optional<std::string>> NamespaceCore::Xattr(Ino ino, const InodeRecord& record,
                                                        std::string_view name) {
  const XattrEntry* entry = FindXattr(record, name);
  if (entry == nullptr) return std::optional<std::string>();
  if (entry->is_inline) return std::optional<std::string>(entry->value);
  DEDUPFS_ASSIGN_OR_RETURN(auto value, kv.Get(Family::kXattr, XattrKey(ino, name)));
  if (!value || value->size() != entry->size) {
    return Corrupt("an xattr row of inode " + std::to_string(ino));
  }
  return value;
}

Result<std::optional<std::string>> NamespaceCore::HintedName(Ino ino, const InodeRecord& record) {
  if (ino == kRootIno || record.parent == 0) return std::optional<std::string>();
  DEDUPFS_ASSIGN_OR_RETURN(auto entry, dentries.At(record.parent, record.cookie));
  if (!entry || entry->ino != ino) return std::optional<std::string>();
  return std::optional<std::string>(std::move(entry->name));
}

void NamespaceCore::CountInodes(int64_t change, Batch& batch) {
  const uint64_t count = inode_count += static_cast<uint64_t>(change);
  batch.Put(Family::kMeta, kInodeCountKey, EncodeCount(count));
}

Result<InodeRecord*> NameChange::Load(Ino ino) {
  const auto known = records_.find(ino);
  if (known != records_.end()) return &known->second;
  DEDUPFS_ASSIGN_OR_RETURN(auto record, core_.Load(ino));
  return Add(ino, std::move(record));
}

Result<InodeRecord*> NameChange::LoadParent(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(InodeRecord* const record, Load(ino));
  if (!IsDirectory(*record)) return Fail(ENOTDIR, "inode " + std::to_string(ino));
  if (record->nlink == 0) {
    return Fail(ENOENT, "directory inode " + std::to_string(ino) + " was removed");
  }
  return record;
}

InodeRecord* NameChange::Add(Ino ino, InodeRecord record) {
  return &records_.insert_or_assign(ino, std::move(record)).first->second;
}

void NameChange::PutEntry(Ino parent, uint64_t cookie, const Dentry& entry) {
  batch_.Put(Family::kDentry, DentryKey(parent, cookie), EncodeDentry(entry));
  new_names_.push_back({parent, cookie, entry.name});
  if (cookie % kCollisions == 0) return;
  core_.dentries.NoteCollision();
  batch_.Put(Family::kMeta, kNamesCollideKey, {});
}

void NameChange::DeleteEntry(Ino parent, uint64_t cookie) {
  batch_.Delete(Family::kDentry, DentryKey(parent, cookie));
}

void NameChange::SetXattr(Ino ino, InodeRecord& record, std::string_view name,
                          std::string_view value) {
  RemoveXattr(ino, record, name);
  size_t inline_total = name.size() + value.size();
  for (const XattrEntry& entry : record.xattrs) {
    if (entry.is_inline) inline_total += entry.name.size() + entry.value.size();
  }
  XattrEntry entry;
  entry.name = name;
  entry.size = static_cast<uint32_t>(value.size());
  entry.is_inline =
      value.size() <= kMaxInlineXattrBytes && inline_total <= kMaxInlineXattrTotalBytes;
  if (entry.is_inline) {
    entry.value = value;
  } else {
    batch_.Put(Family::kXattr, XattrKey(ino, name), value);
  }
  const auto at = std::find_if(record.xattrs.begin(), record.xattrs.end(),
                               [name](const XattrEntry& other) { return other.name > name; });
  record.xattrs.insert(at, std::move(entry));
}

void NameChange::RemoveXattr(Ino ino, InodeRecord& record, std::string_view name) {
  const auto at = std::find_if(record.xattrs.begin(), record.xattrs.end(),
                               [name](const XattrEntry& entry) { return entry.name == name; });
  if (at == record.xattrs.end()) return;
  if (!at->is_inline) batch_.Delete(Family::kXattr, XattrKey(ino, name));
  record.xattrs.erase(at);
}

Unlinked NameChange::DropName(Ino ino, InodeRecord& record, Ino parent, uint64_t cookie) {
  const bool directory = IsDirectory(record);
  record.nlink = directory || record.nlink == 0 ? 0 : record.nlink - 1;
  record.ctime = now_;
  // A directory keeps its parent: it is the ".." of whoever is still inside.
  if (!directory && record.parent == parent && record.cookie == cookie) {
    record.parent = 0;
    record.cookie = 0;
  }
  if (record.nlink == 0) batch_.Put(Family::kOrphan, InodeKey(ino), {});
  return Unlinked{ino, record.mode, record.nlink == 0};
}

Status NameChange::Commit() {
  for (const auto& [ino, record] : records_) {
    batch_.Put(Family::kInode, InodeKey(ino), EncodeInode(record));
    core_.cache.BeginChange(ino);
  }
  Status written;
  {
    const ReaderLock writing(core_.commits);
    written = core_.kv.Write(batch_, Durability::kBuffered);
  }
  for (const NewName& added : new_names_) {
    if (written) core_.folded.Added(added.parent, added.name, added.cookie);
  }
  for (const auto& [ino, record] : records_) {
    core_.cache.EndChange(ino, written ? &record : nullptr);
  }
  return written;
}

Status CheckName(std::string_view name) {
  if (name.empty()) return Fail(ENOENT, "empty name");
  if (name.size() > kMaxNameBytes) return Fail(ENAMETOOLONG, "name of over 255 bytes");
  if (!IsDotName(name) && !IsStorableName(name)) return Fail(EINVAL, "name with a slash or NUL");
  return Ok();
}

bool IsDotName(std::string_view name) { return name == "." || name == ".."; }

bool MayKeepSetgid(const Caller& caller, uint32_t gid) {
  if (caller.gid == gid) return true;
  if (caller.uid == 0 && (!caller.may_keep_set_id || caller.may_keep_set_id())) return true;
  if (!caller.groups) return false;
  const std::vector<uint32_t> groups = caller.groups();
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

}  // namespace dedupfs
