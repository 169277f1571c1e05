#include "fs/namespace/namespace_repair.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "chunkstore/base/coding.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

constexpr size_t kBatchChanges = 4096;
constexpr unsigned kTypeShift = 12;
constexpr uint64_t kEntryKeySize = 16;

Status FlushIfFull(Kv& kv, Batch& batch, bool end) {
  if (batch.empty() || (!end && batch.count() < kBatchChanges)) return Ok();
  DEDUPFS_RETURN_IF_ERROR(kv.Write(batch, Durability::kBuffered));
  batch = Batch();
  return Ok();
}

}  // namespace

NamespaceRepair::NamespaceRepair(Kv& kv, NameHash hash, bool numbers_unknown, Report report)
    : kv_(kv),
      dentries_(kv, std::move(hash), true),
      numbers_unknown_(numbers_unknown),
      report_(std::move(report)) {}

size_t NamespaceRepair::Find(Ino ino) const {
  const auto at = std::lower_bound(inos_.begin(), inos_.end(), ino);
  return at != inos_.end() && *at == ino ? static_cast<size_t>(at - inos_.begin()) : kNone;
}

bool NamespaceRepair::IsDirectoryAt(size_t place) const {
  return types_[place] == S_IFDIR >> kTypeShift;
}

Status NamespaceRepair::Put(Ino ino, const InodeRecord& record) {
  Batch batch;
  batch.Put(Family::kInode, InodeKey(ino), EncodeInode(record));
  return kv_.Write(batch, Durability::kBuffered);
}

Result<InodeRecord> NamespaceRepair::Load(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv_.Get(Family::kInode, InodeKey(ino)));
  if (!value) return Fail(ESTALE, Text(ino) + " is not there");
  return ParseInode(ino, *value);
}

Status NamespaceRepair::Run() {
  DEDUPFS_RETURN_IF_ERROR(MendInodes());
  DEDUPFS_RETURN_IF_ERROR(Revive());
  DEDUPFS_RETURN_IF_ERROR(MendXattrRows());
  DEDUPFS_RETURN_IF_ERROR(ReadTable());
  DEDUPFS_RETURN_IF_ERROR(MendEntries());
  DEDUPFS_RETURN_IF_ERROR(CutLoops());
  DEDUPFS_RETURN_IF_ERROR(AttachUnnamed());
  DEDUPFS_RETURN_IF_ERROR(MendLinks());
  return MendOrphans();
}

// Records that cannot be read go, and xattrs whose rows are not there.
Status NamespaceRepair::MendInodes() {
  const auto rows = kv_.Iterate(Family::kInode, "", "");
  Batch batch;
  for (; rows->Valid(); rows->Next()) {
    const bool right_key = rows->key().size() == sizeof(Ino);
    const Ino ino = right_key ? ParseBigU64(rows->key()) : 0;
    auto record = ParseInode(ino, rows->value());
    if (!right_key || ino == 0 || !record) {
      report_("inode records that cannot be read", Text(ino));
      batch.Delete(Family::kInode, rows->key());
      continue;
    }
    bool changed = false;
    for (auto xattr = record->xattrs.begin(); xattr != record->xattrs.end();) {
      if (xattr->is_inline) {
        ++xattr;
        continue;
      }
      DEDUPFS_ASSIGN_OR_RETURN(const auto value,
                               kv_.Get(Family::kXattr, XattrKey(ino, xattr->name)));
      if (value && value->size() == xattr->size) {
        ++xattr;
        continue;
      }
      report_("xattrs that are lost", Text(ino) + ": " + xattr->name);
      xattr = record->xattrs.erase(xattr);
      changed = true;
    }
    if (changed) batch.Put(Family::kInode, rows->key(), EncodeInode(*record));
    DEDUPFS_RETURN_IF_ERROR(FlushIfFull(kv_, batch, false));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return FlushIfFull(kv_, batch, true);
}

Status NamespaceRepair::MendXattrRows() {
  const auto rows = kv_.Iterate(Family::kXattr, "", "");
  Batch batch;
  Ino ino = 0;
  std::optional<InodeRecord> record;
  for (; rows->Valid(); rows->Next()) {
    const std::string_view key = rows->key();
    if (key.size() > sizeof(Ino) && (!record || ParseBigU64(key) != ino)) {
      ino = ParseBigU64(key);
      auto loaded = Load(ino);
      record.reset();
      if (loaded) record = std::move(*loaded);
    }
    const XattrEntry* entry = nullptr;
    if (key.size() > sizeof(Ino) && record) entry = FindXattr(*record, key.substr(sizeof(Ino)));
    if (entry != nullptr && !entry->is_inline) continue;
    report_("xattr rows that no inode names", "");
    batch.Delete(Family::kXattr, key);
    DEDUPFS_RETURN_IF_ERROR(FlushIfFull(kv_, batch, false));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return FlushIfFull(kv_, batch, true);
}

// Inodes whose records are lost, but which have content or entries: a record is made for them. An
// empty file or directory is not worth one; its entry goes.
Status NamespaceRepair::Revive() {
  const auto has_record = [&](Ino ino) -> Result<bool> {
    DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv_.Get(Family::kInode, InodeKey(ino)));
    return value.has_value();
  };
  DEDUPFS_ASSIGN_OR_RETURN(const bool root, has_record(kRootIno));
  if (!root) NoteRevived(kRootIno, S_IFDIR);
  const auto contents = kv_.Iterate(Family::kContent, "", "");
  for (; contents->Valid(); contents->Next()) {
    if (contents->key().size() != sizeof(Ino)) continue;
    const Ino ino = ParseBigU64(contents->key());
    DEDUPFS_ASSIGN_OR_RETURN(const bool there, has_record(ino));
    if (!there && ino != 0 && ino != kRootIno) NoteRevived(ino, S_IFREG);
  }
  DEDUPFS_RETURN_IF_ERROR(contents->status());
  const auto entries = kv_.Iterate(Family::kDentry, "", "");
  Ino last = 0;
  for (; entries->Valid(); entries->Next()) {
    if (entries->key().size() != kEntryKeySize) continue;
    const Ino parent = ParseBigU64(entries->key());
    if (!ParseDentry(parent, ParseBigU64(entries->key().substr(sizeof(Ino))), entries->value())) {
      continue;
    }
    if (parent == last || parent == 0) continue;
    last = parent;
    DEDUPFS_ASSIGN_OR_RETURN(const bool there, has_record(parent));
    if (!there) NoteRevived(parent, S_IFDIR);
  }
  DEDUPFS_RETURN_IF_ERROR(entries->status());
  const Time now = Now();
  for (const auto& [ino, type] : revived_) {
    InodeRecord record;
    record.mode = type | (type == S_IFDIR ? 0700 : 0600);
    if (ino == kRootIno) record.mode = S_IFDIR | 0755;
    record.nlink = type == S_IFDIR ? 2 : 1;
    if (ino == kRootIno) record.parent = kRootIno;
    record.atime = record.mtime = record.ctime = record.btime = now;
    report_("inodes whose owner, mode and xattrs are lost", Text(ino));
    DEDUPFS_RETURN_IF_ERROR(Put(ino, record));
  }
  return Ok();
}

Status NamespaceRepair::ReadTable() {
  const auto rows = kv_.Iterate(Family::kInode, "", "");
  for (; rows->Valid(); rows->Next()) {
    const Ino ino = ParseBigU64(rows->key());
    DEDUPFS_ASSIGN_OR_RETURN(const InodeRecord record, ParseInode(ino, rows->value()));
    inos_.push_back(ino);
    nlinks_.push_back(record.nlink);
    types_.push_back(static_cast<uint8_t>((record.mode & S_IFMT) >> kTypeShift));
    highest_ = std::max({highest_, ino, record.parent});
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  names_.assign(inos_.size(), 0);
  parents_.assign(inos_.size(), kNoPlace);
  if (const size_t root = Find(kRootIno); !IsDirectoryAt(root) || nlinks_[root] < 2) {
    report_("inodes whose owner, mode and xattrs are lost", "the root");
    Batch batch;
    Namespace::Format(batch, 0, 0, Now());
    DEDUPFS_RETURN_IF_ERROR(kv_.Write(batch, Durability::kBuffered));
    types_[root] = S_IFDIR >> kTypeShift;
    nlinks_[root] = 2;
  }
  return Ok();
}

Result<bool> NamespaceRepair::MendEntry(Ino parent, uint64_t cookie, const Dentry& entry,
                                        Batch& batch) {
  const std::string where = "inode " + std::to_string(parent) + "/" + entry.name;
  const size_t parent_at = Find(parent);
  const size_t at = Find(entry.ino);
  highest_ = std::max({highest_, parent, entry.ino});
  if (at == kNone) {
    report_("entries that name no inode", where + ": inode " + std::to_string(entry.ino));
    return false;
  }
  if (parent_at == kNone || !IsDirectoryAt(parent_at) || nlinks_[parent_at] == 0) {
    report_("entries in what is no directory", where);
    return false;
  }
  if (entry.ino == kRootIno) {
    report_("entries that name the root", where);
    return false;
  }
  if (IsDirectoryAt(at) && names_[at] != 0) {
    report_("second entries of a directory", where);
    return false;
  }
  Dentry right = entry;
  right.type = uint32_t{types_[at]} << kTypeShift;
  uint64_t place = cookie;
  if (dentries_.FirstCookie(entry.name) >> kCollisionBits != cookie >> kCollisionBits) {
    DEDUPFS_ASSIGN_OR_RETURN(const DentrySlot slot, dentries_.Probe(parent, entry.name));
    if (slot.entry) {
      report_("second entries of a name", where);
      return false;
    }
    report_("entries under the hash of another name", where);
    batch.Delete(Family::kDentry, DentryKey(parent, cookie));
    place = slot.cookie;
  } else if (right.type != entry.type) {
    report_("entries that say another file type", where);
  }
  if (place != cookie || right.type != entry.type) {
    batch.Put(Family::kDentry, DentryKey(parent, place), EncodeDentry(right));
    DEDUPFS_RETURN_IF_ERROR(FlushIfFull(kv_, batch, true));  // the next Probe is to see it
  }
  if (place % kCollisions != 0) collisions_ = true;
  ++names_[at];
  if (IsDirectoryAt(at)) parents_[at] = static_cast<uint32_t>(parent_at);
  return true;
}

Status NamespaceRepair::MendEntries() {
  const auto rows = kv_.Iterate(Family::kDentry, "", "");
  Batch batch;
  std::set<std::string> same_hash;
  std::string hash;
  for (; rows->Valid(); rows->Next()) {
    const std::string_view key = rows->key();
    const bool right_key = key.size() == kEntryKeySize;
    const Ino parent = key.size() >= sizeof(Ino) ? ParseBigU64(key) : 0;
    const uint64_t cookie = right_key ? ParseBigU64(key.substr(sizeof(Ino))) : 0;
    const auto entry = ParseDentry(parent, cookie, rows->value());
    bool stays = false;
    if (!right_key || !entry) {
      report_("entries that cannot be read", "in inode " + std::to_string(parent));
    } else {
      if (key.substr(0, kEntryKeySize - 1) != hash) {
        hash = key.substr(0, kEntryKeySize - 1);
        same_hash.clear();
      }
      if (same_hash.insert(entry->name).second) {
        DEDUPFS_ASSIGN_OR_RETURN(stays, MendEntry(parent, cookie, *entry, batch));
      } else {
        report_("second entries of a name", "inode " + std::to_string(parent) + "/" + entry->name);
      }
    }
    if (!stays) batch.Delete(Family::kDentry, key);
    DEDUPFS_RETURN_IF_ERROR(FlushIfFull(kv_, batch, false));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return FlushIfFull(kv_, batch, true);
}

Status NamespaceRepair::RemoveEntriesOf(Ino ino) {
  const Ino parent = inos_[parents_[Find(ino)]];
  const auto rows = kv_.Iterate(Family::kDentry, BigU64(parent), BigU64(parent + 1));
  Batch batch;
  for (; rows->Valid(); rows->Next()) {
    const auto entry = ParseDentry(parent, 0, rows->value());
    if (entry && entry->ino == ino) batch.Delete(Family::kDentry, rows->key());
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return kv_.Write(batch, Durability::kBuffered);
}

// A directory inside itself is taken out, and found without a name afterwards.
Status NamespaceRepair::CutLoops() {
  enum Mark : uint8_t { kUnseen, kOnWay, kDone };
  std::vector<uint8_t> marks(inos_.size(), kUnseen);
  std::vector<size_t> way;
  for (size_t start = 0; start < inos_.size(); ++start) {
    way.clear();
    size_t at = start;
    while (at != kNone && IsDirectoryAt(at) && marks[at] == kUnseen) {
      marks[at] = kOnWay;
      way.push_back(at);
      at = inos_[at] == kRootIno || parents_[at] == kNoPlace ? kNone : parents_[at];
    }
    if (at != kNone && IsDirectoryAt(at) && marks[at] == kOnWay) {
      report_("directories inside themselves", Text(inos_[at]));
      DEDUPFS_RETURN_IF_ERROR(RemoveEntriesOf(inos_[at]));
      parents_[at] = kNoPlace;
      names_[at] = 0;
    }
    for (const size_t passed : way) marks[passed] = kDone;
  }
  return Ok();
}

}  // namespace dedupfs
