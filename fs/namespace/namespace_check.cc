// Read-only verification of all rows.
//
// One walk over the inodes fills a table of about 18 bytes for each; one walk over the entries,
// which are sorted by their parents, counts names in it, and compares each directory with its own
// entries.
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

using Report = std::function<void(Ino, const std::string&)>;

constexpr size_t kNone = std::numeric_limits<size_t>::max();
constexpr uint32_t kNoParent = std::numeric_limits<uint32_t>::max();

class Checker {
 public:
  Checker(NamespaceCore& core, const Report& report) : core_(core), report_(report) {
    // All walks see one instant.
    const WriterLock no_change(core.commits);
    inodes_ = core.kv.Iterate(Family::kInode, {}, {});
    directories_ = core.kv.Iterate(Family::kInode, {}, {});
    dotdots_ = core.kv.Iterate(Family::kInode, {}, {});
    entries_ = core.kv.Iterate(Family::kDentry, {}, {});
    xattrs_ = core.kv.Iterate(Family::kXattr, {}, {});
    orphans_ = core.kv.Iterate(Family::kOrphan, {}, {});
  }

  Status Run() {
    DEDUPFS_RETURN_IF_ERROR(ReadInodes());
    DEDUPFS_RETURN_IF_ERROR(ReadOrphans());
    DEDUPFS_RETURN_IF_ERROR(ReadEntries());
    CheckNames();
    CheckTree();
    return CheckDotDots();
  }

 private:
  enum Mark : uint8_t { kUnseen, kOnWay, kReachesRoot, kReported };

  // What the entries of one directory add up to.
  struct Sum {
    uint64_t entries = 0;
    uint64_t directories = 0;
  };

  size_t Find(Ino ino) const {
    const auto at = std::lower_bound(inos_.begin(), inos_.end(), ino);
    return at != inos_.end() && *at == ino ? static_cast<size_t>(at - inos_.begin()) : kNone;
  }
  bool IsDirectoryAt(size_t i) const { return types_[i] == S_IFDIR >> 12; }

  Status ReadInodes();
  void CheckXattrs(Ino ino, const InodeRecord& record);
  void SkipXattrsBefore(Ino ino);
  Status ReadOrphans();
  Status ReadEntries();
  void ReadEntry(Ino parent, uint64_t cookie, Sum& sum);
  void CheckFirstOfName(Ino parent, uint64_t cookie, const std::string& name);
  Status CheckDirectoriesUpTo(Ino ino, const Sum& sum);
  void CheckDirectory(Ino ino, const Sum& sum);
  void CheckNames();
  void CheckTree();
  Status CheckDotDots();

  NamespaceCore& core_;
  const Report& report_;
  std::unique_ptr<KvIterator> inodes_, directories_, dotdots_, entries_, xattrs_, orphans_;

  // Tables with one place for each inode, in the order of inode numbers.
  std::vector<Ino> inos_;
  std::vector<uint32_t> nlinks_;
  std::vector<uint32_t> names_;    // entries found
  std::vector<uint32_t> parents_;  // of directories: place of the directory that an entry is in
  std::vector<uint8_t> types_;     // S_IFMT bits >> 12; 0: the record cannot be parsed
  std::vector<bool> orphaned_;

  uint64_t hash_ = 0;  // of the names below
  std::set<std::string> same_hash_;
};

void Checker::SkipXattrsBefore(Ino ino) {
  for (; xattrs_->Valid(); xattrs_->Next()) {
    const std::string_view key = xattrs_->key();
    if (key.size() > 8 && ParseBigU64(key) >= ino) return;
    report_(key.size() >= 8 ? ParseBigU64(key) : 0, "an xattr row that no inode names");
  }
}

void Checker::CheckXattrs(Ino ino, const InodeRecord& record) {
  SkipXattrsBefore(ino);
  for (const XattrEntry& entry : record.xattrs) {
    if (entry.is_inline) continue;
    const std::string key = XattrKey(ino, entry.name);
    for (; xattrs_->Valid() && xattrs_->key() < key; xattrs_->Next()) {
      report_(ino, "an xattr row that the inode does not name");
    }
    if (!xattrs_->Valid() || xattrs_->key() != key) {
      report_(ino, "the row of an xattr is missing");
      continue;
    }
    if (xattrs_->value().size() != entry.size) report_(ino, "an xattr of another size");
    xattrs_->Next();
  }
  SkipXattrsBefore(ino + 1);
}

Status Checker::ReadInodes() {
  for (; inodes_->Valid(); inodes_->Next()) {
    if (inodes_->key().size() != 8) {
      report_(0, "an inode key of the wrong size");
      continue;
    }
    const Ino ino = ParseBigU64(inodes_->key());
    const auto record = ParseInode(ino, inodes_->value());
    inos_.push_back(ino);
    nlinks_.push_back(record ? record->nlink : 0);
    types_.push_back(record ? static_cast<uint8_t>((record->mode & S_IFMT) >> 12) : 0);
    if (!record) {
      report_(ino, "the inode record cannot be parsed");
      continue;
    }
    CheckXattrs(ino, *record);
  }
  SkipXattrsBefore(std::numeric_limits<Ino>::max());
  DEDUPFS_RETURN_IF_ERROR(inodes_->status());
  DEDUPFS_RETURN_IF_ERROR(xattrs_->status());
  names_.assign(inos_.size(), 0);
  parents_.assign(inos_.size(), kNoParent);
  orphaned_.assign(inos_.size(), false);
  return Ok();
}

Status Checker::ReadOrphans() {
  for (; orphans_->Valid(); orphans_->Next()) {
    if (orphans_->key().size() != 8) {
      report_(0, "an orphan key of the wrong size");
      continue;
    }
    const Ino ino = ParseBigU64(orphans_->key());
    const size_t at = Find(ino);
    if (at == kNone) {
      // The batch that erases an orphan is its owner's, so it may lie between two of the walks.
      DEDUPFS_ASSIGN_OR_RETURN(const auto row, core_.kv.Get(Family::kOrphan, InodeKey(ino)));
      if (row) report_(ino, "an orphan row without an inode");
      continue;
    }
    orphaned_[at] = true;
    if (types_[at] != 0 && nlinks_[at] != 0) report_(ino, "an orphan row of an inode with names");
  }
  return orphans_->status();
}

// Two entries of one name can only lie side by side: names are found by their hash.
void Checker::CheckFirstOfName(Ino parent, uint64_t cookie, const std::string& name) {
  if (hash_ != cookie >> kCollisionBits) {
    hash_ = cookie >> kCollisionBits;
    same_hash_.clear();
  }
  if (!same_hash_.insert(name).second) report_(parent, "two entries of one name");
  if (core_.dentries.FirstCookie(name) >> kCollisionBits != hash_) {
    report_(parent, "an entry under the hash of another name");
  }
  if (cookie % kCollisions != 0 && !core_.dentries.names_collide()) {
    report_(parent, "an entry with a collision number, in a store that says it has none");
  }
}

void Checker::ReadEntry(Ino parent, uint64_t cookie, Sum& sum) {
  const auto entry = ParseDentry(parent, cookie, entries_->value());
  ++sum.entries;
  if (!entry) {
    report_(parent, "an entry cannot be parsed");
    return;
  }
  if (S_ISDIR(entry->type)) ++sum.directories;
  CheckFirstOfName(parent, cookie, entry->name);
  const size_t at = Find(entry->ino);
  if (at == kNone) {
    report_(parent, "an entry names inode " + std::to_string(entry->ino) + ", which is not there");
    return;
  }
  ++names_[at];
  if (types_[at] != 0 && types_[at] != entry->type >> 12) {
    report_(entry->ino, "an entry says another file type");
  }
  if (!IsDirectoryAt(at)) return;
  if (entry->ino == kRootIno) report_(parent, "an entry names the root");
  const size_t parent_at = Find(parent);
  if (parent_at != kNone) parents_[at] = static_cast<uint32_t>(parent_at);
}

void Checker::CheckDirectory(Ino ino, const Sum& sum) {
  if (directories_->key().size() != 8) return;
  const auto record = ParseInode(ino, directories_->value());
  if (!record || !IsDirectory(*record)) {
    if (record && sum.entries != 0) report_(ino, "entries in what is no directory");
    return;
  }
  if (record->entries != sum.entries) {
    report_(ino, "the count of entries is " + std::to_string(record->entries) + ", there are " +
                     std::to_string(sum.entries));
  }
  const uint64_t nlink = record->nlink == 0 ? 0 : 2 + sum.directories;
  if (record->nlink != nlink) {
    report_(ino,
            "nlink is " + std::to_string(record->nlink) + ", should be " + std::to_string(nlink));
  }
}

// Checks the directories before `ino` as empty ones, and `ino` by `sum`.
Status Checker::CheckDirectoriesUpTo(Ino ino, const Sum& sum) {
  for (; directories_->Valid(); directories_->Next()) {
    if (directories_->key().size() != 8) continue;
    const Ino at = ParseBigU64(directories_->key());
    if (at > ino) break;
    CheckDirectory(at, at == ino ? sum : Sum{});
  }
  if (sum.entries != 0 && Find(ino) == kNone)
    report_(ino, "entries in a directory that is not there");
  return directories_->status();
}

Status Checker::ReadEntries() {
  Ino parent = 0;
  Sum sum;
  for (; entries_->Valid(); entries_->Next()) {
    const std::string_view key = entries_->key();
    if (key.size() != 16) {
      report_(key.size() >= 8 ? ParseBigU64(key) : 0, "an entry key of the wrong size");
      continue;
    }
    const Ino ino = ParseBigU64(key);
    if (ino != parent) {
      DEDUPFS_RETURN_IF_ERROR(CheckDirectoriesUpTo(parent, sum));
      parent = ino;
      sum = Sum{};
      hash_ = 0;
      same_hash_.clear();
    }
    ReadEntry(parent, ParseBigU64(key.substr(8)), sum);
  }
  DEDUPFS_RETURN_IF_ERROR(entries_->status());
  DEDUPFS_RETURN_IF_ERROR(CheckDirectoriesUpTo(parent, sum));
  return CheckDirectoriesUpTo(std::numeric_limits<Ino>::max(), Sum{});
}

void Checker::CheckNames() {
  if (Find(kRootIno) == kNone) report_(kRootIno, "the root is not there");
  for (size_t i = 0; i < inos_.size(); ++i) {
    if (types_[i] == 0 || inos_[i] == kRootIno) continue;
    const uint32_t wanted = IsDirectoryAt(i) && nlinks_[i] != 0 ? 1 : nlinks_[i];
    if (names_[i] != wanted) {
      report_(inos_[i], "the inode has " + std::to_string(names_[i]) + " entries, should have " +
                            std::to_string(wanted));
    }
    if (nlinks_[i] == 0 && !orphaned_[i])
      report_(inos_[i], "an inode without a name, and no orphan");
  }
}

// Every directory but the root and orphans reaches the root; each is visited once.
void Checker::CheckTree() {
  std::vector<uint8_t> marks(inos_.size(), kUnseen);
  std::vector<uint32_t> way;
  for (size_t start = 0; start < inos_.size(); ++start) {
    size_t at = start;
    way.clear();
    while (IsDirectoryAt(at) && marks[at] == kUnseen) {
      marks[at] = kOnWay;
      way.push_back(static_cast<uint32_t>(at));
      if (inos_[at] == kRootIno || parents_[at] == kNoParent) break;
      at = parents_[at];
    }
    if (way.empty()) continue;
    const bool loop = marks[at] == kOnWay && inos_[at] != kRootIno && parents_[at] != kNoParent;
    if (loop) report_(inos_[at], "the directory is inside itself");
    for (const uint32_t passed : way) marks[passed] = loop ? kReported : kReachesRoot;
  }
}

// The ".." of each directory is the directory that its entry is in.
Status Checker::CheckDotDots() {
  for (; dotdots_->Valid(); dotdots_->Next()) {
    if (dotdots_->key().size() != 8) continue;
    const Ino ino = ParseBigU64(dotdots_->key());
    const size_t at = Find(ino);
    if (at == kNone || !IsDirectoryAt(at)) continue;
    const auto record = ParseInode(ino, dotdots_->value());
    if (!record) continue;
    const bool placed = parents_[at] != kNoParent;
    if (ino == kRootIno ? record->parent != ino : placed && record->parent != inos_[parents_[at]]) {
      report_(ino, "the parent of the directory is wrong");
    }
  }
  return dotdots_->status();
}

}  // namespace

Status Namespace::Check(const std::function<void(Ino, const std::string&)>& report) {
  return Checker(*parts_, report).Run();
}

}  // namespace dedupfs
