// What the operations of Namespace share: rows, locks, and one change of several rows.
//
// Thread safety: every method of NamespaceCore may be called concurrently; a NameChange belongs to
//                one thread.
// Ownership:     both borrow what they are given.
// Durability:    NameChange::Commit is one buffered batch.
// Errors:        ESTALE for an unknown inode number, EIO for rows that cannot be parsed.
//
// Order of locks: directory_renames, then inode locks, then commits.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/id_range.h"
#include "fs/namespace/dentry.h"
#include "fs/namespace/folded_names.h"
#include "fs/namespace/inode_cache.h"
#include "fs/namespace/inode_locks.h"
#include "fs/namespace/inode_record.h"
#include "fs/namespace/namespace.h"
#include "fs/types.h"

namespace dedupfs {

inline constexpr std::string_view kInodeCountKey =
    "inodes";  // in kMeta, u64; after a crash it may be off by a few

class NamespaceCore {
 public:
  // `names_collide`: whether kNamesCollideKey is there.
  NamespaceCore(Kv& store, NameHash hash, bool store_is_read_only, uint64_t inodes,
                bool names_collide);
  ~NamespaceCore();

  Result<std::optional<InodeRecord>> Find(Ino ino);
  Result<InodeRecord> Load(Ino ino);

  // The value of an xattr of `record`. Requires that no other thread changes the inode's xattrs.
  Result<std::optional<std::string>> Xattr(Ino ino, const InodeRecord& record,
                                           std::string_view name);
  // The name that the hint of `record` leads to, if it is still there.
  Result<std::optional<std::string>> HintedName(Ino ino, const InodeRecord& record);

  // Counts inodes made or erased by `batch`, and puts the sum into it.
  void CountInodes(int64_t change, Batch& batch);

  Kv& kv;
  const bool read_only;
  Dentries dentries;
  FoldedNames folded;
  InodeCache cache;
  InodeLocks locks;
  Mutex directory_renames;  // no directory gets another parent but under it
  SharedMutex commits;      // shared: a change is written; exclusive: nothing is, for Check
  IdRange inos;
  std::atomic<uint64_t> inode_count;
};

struct Namespace::Parts : NamespaceCore {
  using NamespaceCore::NamespaceCore;
};

// One change: records read under their locks, changed in memory and written together.
class NameChange {
 public:
  explicit NameChange(NamespaceCore& core) : core_(core), now_(Now()) {}

  // The record of `ino`, the same object each time; written by Commit.
  Result<InodeRecord*> Load(Ino ino);
  // The same for a directory that names are changed in: ENOTDIR; ENOENT where it was removed.
  Result<InodeRecord*> LoadParent(Ino ino);
  InodeRecord* Add(Ino ino, InodeRecord record);

  void PutEntry(Ino parent, uint64_t cookie, const Dentry& entry);
  void DeleteEntry(Ino parent, uint64_t cookie);

  // An empty value is one, too.
  void SetXattr(Ino ino, InodeRecord& record, std::string_view name, std::string_view value);
  void RemoveXattr(Ino ino, InodeRecord& record, std::string_view name);

  // Takes the name at `parent` and `cookie` from an inode; a directory loses all its links.
  Unlinked DropName(Ino ino, InodeRecord& record, Ino parent, uint64_t cookie);

  Batch& batch() { return batch_; }
  Time now() const { return now_; }
  Status Commit();

 private:
  NamespaceCore& core_;
  const Time now_;
  struct NewName {
    Ino parent;
    uint64_t cookie;
    std::string name;
  };
  std::vector<NewName> new_names_;
  std::map<Ino, InodeRecord> records_;
  Batch batch_;
};

// Whether `name` may be made or looked for: ENAMETOOLONG; EINVAL for a slash or NUL in it; ENOENT
// where it is empty. "." and ".." pass.
Status CheckName(std::string_view name);
bool IsDotName(std::string_view name);  // "." or ".."

inline void ChangedEntries(InodeRecord& directory, Time now) {
  directory.mtime = now;
  directory.ctime = now;
}
// Root with CAP_FSETID, or a member of the group: may keep S_ISGID.
bool MayKeepSetgid(const Caller& caller, uint32_t gid);

}  // namespace dedupfs
