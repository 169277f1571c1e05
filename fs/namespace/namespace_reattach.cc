// The second half of a repair of names: what has no name gets one in lost+found, and links, counts
// and orphan rows are made to agree with the entries.
#include <sys/stat.h>

#include <algorithm>
#include <string>

#include "chunkstore/base/coding.h"
#include "fs/namespace/namespace_core.h"
#include "fs/namespace/namespace_repair.h"

namespace dedupfs {
namespace {

constexpr unsigned kTypeShift = 12;
constexpr const char* kLostAndFound = "lost+found";
// How far inode numbers jump where nobody knows which were given.
constexpr Ino kUnknownInos = Ino{1} << 32;
constexpr uint64_t kDirectoriesInOne = 60'000;  // fewer than a directory may have links

}  // namespace

// The directory for what has no name; another one where it is full.
Result<Ino> NamespaceRepair::LostAndFound() {
  if (lost_and_found_ != 0 && lost_directories_ < kDirectoriesInOne) return lost_and_found_;
  for (uint64_t number = 0;; ++number) {
    const std::string name =
        number == 0 ? kLostAndFound : kLostAndFound + ("." + std::to_string(number));
    DEDUPFS_ASSIGN_OR_RETURN(const DentrySlot slot, dentries_.Probe(kRootIno, name));
    if (slot.entry) {
      const size_t at = Find(slot.entry->ino);
      if (at == kNone || !IsDirectoryAt(at) || nlinks_[at] >= kDirectoriesInOne ||
          lost_and_found_ == slot.entry->ino) {
        continue;
      }
      lost_and_found_ = slot.entry->ino;
      lost_directories_ = nlinks_[at];
      return lost_and_found_;
    }
    DEDUPFS_ASSIGN_OR_RETURN(lost_and_found_, NewIno());
    lost_directories_ = 0;
    InodeRecord record;
    record.mode = S_IFDIR | 0700;
    record.nlink = 2;
    record.parent = kRootIno;
    record.cookie = slot.cookie;
    record.atime = record.mtime = record.ctime = record.btime = Now();
    Batch batch;
    batch.Put(Family::kInode, InodeKey(lost_and_found_), EncodeInode(record));
    batch.Put(Family::kDentry, DentryKey(kRootIno, slot.cookie),
              EncodeDentry({lost_and_found_, S_IFDIR, name}));
    if (slot.cookie % kCollisions != 0) collisions_ = true;
    DEDUPFS_RETURN_IF_ERROR(kv_.Write(batch, Durability::kBuffered));
    return lost_and_found_;
  }
}

Status NamespaceRepair::Attach(Ino ino, const std::string& name, uint32_t type) {
  DEDUPFS_ASSIGN_OR_RETURN(const Ino parent, LostAndFound());
  for (uint64_t number = 0;; ++number) {
    const std::string tried = number == 0 ? name : name + "." + std::to_string(number);
    DEDUPFS_ASSIGN_OR_RETURN(const DentrySlot slot, dentries_.Probe(parent, tried));
    if (slot.entry) continue;
    Batch batch;
    batch.Put(Family::kDentry, DentryKey(parent, slot.cookie), EncodeDentry({ino, type, tried}));
    DEDUPFS_ASSIGN_OR_RETURN(InodeRecord record, Load(ino));
    record.parent = parent;
    record.cookie = slot.cookie;
    batch.Put(Family::kInode, InodeKey(ino), EncodeInode(record));
    if (slot.cookie % kCollisions != 0) collisions_ = true;
    if (type == S_IFDIR) ++lost_directories_;
    return kv_.Write(batch, Durability::kBuffered);
  }
}

Status NamespaceRepair::AttachUnnamed() {
  for (size_t i = 0; i < inos_.size(); ++i) {
    if (names_[i] != 0 || nlinks_[i] == 0 || inos_[i] == kRootIno) continue;
    report_("inodes without a name, moved to lost+found", Text(inos_[i]));
    DEDUPFS_RETURN_IF_ERROR(
        Attach(inos_[i], "#" + std::to_string(inos_[i]), uint32_t{types_[i]} << kTypeShift));
    names_[i] = 1;
  }
  return Ok();
}

// Links of what is no directory; whether an inode is an orphan.
Status NamespaceRepair::MendLinks() {
  for (size_t i = 0; i < inos_.size(); ++i) {
    if (IsDirectoryAt(i) || names_[i] == nlinks_[i]) continue;
    DEDUPFS_ASSIGN_OR_RETURN(InodeRecord record, Load(inos_[i]));
    report_("link counts", Text(inos_[i]) + ": " + std::to_string(nlinks_[i]) + " becomes " +
                               std::to_string(names_[i]));
    record.nlink = std::min(names_[i], kMaxLinks);
    nlinks_[i] = record.nlink;
    DEDUPFS_RETURN_IF_ERROR(Put(inos_[i], record));
  }
  return Ok();
}

Status NamespaceRepair::MendOrphans() {
  const auto rows = kv_.Iterate(Family::kOrphan, "", "");
  Batch batch;
  std::vector<bool> orphaned(inos_.size(), false);
  for (; rows->Valid(); rows->Next()) {
    const size_t at = rows->key().size() == sizeof(Ino) ? Find(ParseBigU64(rows->key())) : kNone;
    if (at != kNone && nlinks_[at] == 0 && names_[at] == 0) {
      orphaned[at] = true;
      continue;
    }
    report_("orphan rows of inodes that are none", at == kNone ? "" : Text(inos_[at]));
    batch.Delete(Family::kOrphan, rows->key());
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  for (size_t i = 0; i < inos_.size(); ++i) {
    if (nlinks_[i] != 0 || names_[i] != 0 || orphaned[i]) continue;
    report_("orphans without a row", Text(inos_[i]));
    batch.Put(Family::kOrphan, InodeKey(inos_[i]), {});
  }
  return kv_.Write(batch, Durability::kBuffered);
}

// Entries, links and ".." of each directory, by its entries as they are now.
Status NamespaceRepair::MendDirectories() {
  std::map<Ino, uint64_t> cookies;  // of directories, found in the directory at hand
  const auto mend = [&](Ino ino, uint64_t entries, uint64_t directories) -> Status {
    DEDUPFS_ASSIGN_OR_RETURN(InodeRecord record, Load(ino));
    const uint64_t nlink = record.nlink == 0 ? 0 : 2 + directories;
    if (record.entries == entries && record.nlink == nlink) return Ok();
    // What lost+found takes in is told already.
    if (Find(ino) != kNone && ino != lost_and_found_ && !(ino == kRootIno && next_ != 0)) {
      report_("counts of directories", Text(ino));
    }
    record.entries = entries;
    record.nlink = static_cast<uint32_t>(nlink);
    return Put(ino, record);
  };
  const auto place = [&](Ino parent) -> Status {
    for (const auto& [ino, cookie] : cookies) {
      DEDUPFS_ASSIGN_OR_RETURN(InodeRecord record, Load(ino));
      const bool dead = record.nlink == 0;
      if (record.parent == parent && record.cookie == cookie && !dead) continue;
      if (record.parent != parent || dead) report_("parents of directories", Text(ino));
      record.parent = parent;
      record.cookie = cookie;
      if (dead) record.nlink = 2;  // and by its own entries below
      DEDUPFS_RETURN_IF_ERROR(Put(ino, record));
    }
    cookies.clear();
    return Ok();
  };
  const auto rows = kv_.Iterate(Family::kDentry, "", "");
  const auto inodes = kv_.Iterate(Family::kInode, "", "");
  for (; rows->Valid(); rows->Next()) {
    const Ino parent = ParseBigU64(rows->key());
    const uint64_t cookie = ParseBigU64(rows->key().substr(sizeof(Ino)));
    DEDUPFS_ASSIGN_OR_RETURN(const Dentry entry, ParseDentry(parent, cookie, rows->value()));
    if (!S_ISDIR(entry.type)) continue;
    cookies[entry.ino] = cookie;
    DEDUPFS_RETURN_IF_ERROR(place(parent));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  const auto entries = kv_.Iterate(Family::kDentry, "", "");
  for (; inodes->Valid(); inodes->Next()) {
    const Ino ino = ParseBigU64(inodes->key());
    ++inodes_;
    highest_ = std::max(highest_, ino);
    uint64_t count = 0, directories = 0;
    for (; entries->Valid() && ParseBigU64(entries->key()) <= ino; entries->Next()) {
      const auto entry = ParseDentry(ino, 0, entries->value());
      if (ParseBigU64(entries->key()) != ino || !entry) continue;
      ++count;
      if (S_ISDIR(entry->type)) ++directories;
    }
    DEDUPFS_ASSIGN_OR_RETURN(const InodeRecord record, ParseInode(ino, inodes->value()));
    if (IsDirectory(record)) DEDUPFS_RETURN_IF_ERROR(mend(ino, count, directories));
  }
  DEDUPFS_RETURN_IF_ERROR(entries->status());
  return inodes->status();
}

Result<Ino> NamespaceRepair::AddLostFile(const std::string& name) {
  DEDUPFS_ASSIGN_OR_RETURN(const Ino ino, NewIno());
  InodeRecord record;
  record.mode = S_IFREG | 0600;
  record.nlink = 1;
  record.atime = record.mtime = record.ctime = record.btime = Now();
  DEDUPFS_RETURN_IF_ERROR(Put(ino, record));
  DEDUPFS_RETURN_IF_ERROR(Attach(ino, name, S_IFREG));
  return ino;
}

Result<uint64_t> NamespaceRepair::Counter(std::string_view name) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv_.Get(Family::kMeta, name));
  if (!value) return uint64_t{0};
  Decoder in(*value);
  const uint64_t number = in.U64();
  return in.AtEnd() ? number : 0;
}

// The first number that was surely never given.
Result<Ino> NamespaceRepair::FirstNewIno(Ino highest) {
  DEDUPFS_ASSIGN_OR_RETURN(const Ino reserved, Counter("next_ino"));
  const Ino first = std::max({reserved, highest + 1, kFirstFreeIno});
  return numbers_unknown_ || (reserved == 0 && highest >= kFirstFreeIno) ? first + kUnknownInos
                                                                         : first;
}

Result<Ino> NamespaceRepair::NewIno() {
  if (next_ == 0) {
    DEDUPFS_ASSIGN_OR_RETURN(next_, FirstNewIno(highest_));
  }
  return next_++;
}

Status NamespaceRepair::FinishCounters(Ino highest) {
  DEDUPFS_RETURN_IF_ERROR(MendDirectories());
  Batch batch;
  DEDUPFS_ASSIGN_OR_RETURN(const Ino reserved, Counter("next_ino"));
  Ino first = next_;
  if (first == 0) {
    DEDUPFS_ASSIGN_OR_RETURN(first, FirstNewIno(std::max(highest, highest_)));
  }
  if (first > reserved && (reserved != 0 || first > kFirstFreeIno)) {
    report_(kNumbers, "next_ino");
    std::string value;
    PutU64(value, first);
    batch.Put(Family::kMeta, "next_ino", value);
  }
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t inodes, Counter(kInodeCountKey));
  if (inodes != inodes_) {  // after a crash it may be off: nothing to tell
    std::string value;
    PutU64(value, inodes_);
    batch.Put(Family::kMeta, kInodeCountKey, value);
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto collide, kv_.Get(Family::kMeta, kNamesCollideKey));
  if (collisions_ && !collide) {
    report_("that names of one hash are there", "");
    batch.Put(Family::kMeta, kNamesCollideKey, {});
  }
  return kv_.Write(batch, Durability::kBuffered);
}

}  // namespace dedupfs
