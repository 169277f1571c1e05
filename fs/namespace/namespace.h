// Names and inodes: directories, entries, links, attributes, xattrs and ACLs; all but the content
// of regular files. (Rows: docs/format/inode.md, docs/format/dentry.md.)
//
// Thread safety: every public method may be called concurrently. A change holds the locks of the
//                inodes it touches (striped, taken in stripe order) over its read-modify-write;
//                its database write is a buffered one, so nothing waits for the disk under a lock.
// Ownership:     borrows `kv`, which outlives it.
// Durability:    each change is one buffered batch: after a crash a prefix of all changes is there,
//                each whole or not at all. Kv::SyncLog() makes all earlier ones durable.
// Errors:        the errno of POSIX and ext4. ESTALE for an inode number that is unknown.
//                EIO names the inode or entry for rows that cannot be parsed.
// Units:         see fs/types.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/siphash.h"
#include "fs/types.h"

namespace dedupfs {

// What a change of names did to the inode that lost a name.
struct Unlinked {
  Ino ino = 0;
  uint32_t mode = 0;
  bool orphaned = false;  // no name is left: an orphan row was written in the same batch
};

class Namespace {
 public:
  // `name_key` is the store's secret for cookies.
  static Result<std::unique_ptr<Namespace>> Open(Kv& kv, const SipKey& name_key, bool read_only);
  ~Namespace();

  // Writes the root directory of a new store into `batch`.
  static void Format(Batch& batch, uint32_t uid, uint32_t gid, Time now);

  // In all results: for a regular file size and blocks are 0, mtime is as of its creation, and
  // ctime is that of the inode record; fs/content knows the rest.

  // "." and ".." work too. ENOENT, ENOTDIR, ENAMETOOLONG, ESTALE.
  Result<Attributes> Lookup(Ino parent, std::string_view name);
  Result<Attributes> Get(Ino ino);
  // The stored name of the entry that is `name`, or else of the first one by cookie that differs
  // only in case (see fs/namespace/case_fold.h). Nothing where there is none. Reads every entry of
  // the directory where `name` is not there as it stands. ENOTDIR, ENAMETOOLONG, ESTALE.
  Result<std::optional<std::string>> RealName(Ino directory, std::string_view name);

  // Creates a regular file, directory, symlink (with `target`) or special file by the S_IFMT bits
  // of `mode`. Owner from the caller; group, and S_ISGID of directories, inherited where the parent
  // has S_ISGID; a default ACL of the parent is inherited, else umask applies. EEXIST and the rest
  // as POSIX says; EMLINK.
  Result<Attributes> Create(Ino parent, std::string_view name, uint32_t mode, uint64_t rdev,
                            std::string_view target, const Caller& caller);
  // EPERM for directories, EMLINK, EEXIST, ENOENT where `ino` has no name left.
  Result<Attributes> Link(Ino ino, Ino parent, std::string_view name);
  Result<Unlinked> Unlink(Ino parent, std::string_view name);  // EISDIR
  Result<Unlinked> RemoveDirectory(Ino parent,
                                   std::string_view name);  // ENOTEMPTY, ENOTDIR, EINVAL for "."
  // `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE; EINVAL for others, and for a directory into
  // itself. Returns what lost its name at the target, if anything.
  Result<std::optional<Unlinked>> Rename(Ino parent, std::string_view name, Ino new_parent,
                                         std::string_view new_name, unsigned flags);
  Result<std::string> ReadLink(Ino ino);

  // mode, uid, gid, atime, ctime; mtime of what is no regular file. `size` is not looked at, except
  // that set-id bits go as ext4 does it where clear_privileges is set. chown clears set-id bits of
  // executables (ext4's rule) and security.capability; chmod by a caller outside the file's group
  // (not root) drops S_ISGID; chmod keeps the ACL mask in step.
  Result<Attributes> SetAttributes(Ino ino, const AttributeChange& change, const Caller& caller);
  // Drops S_ISUID, S_ISGID (where group-executable, or the caller is outside the group and not
  // root) and security.capability before content changes. Returns whether anything was dropped.
  // Cheap where there is nothing.
  Result<bool> ClearPrivileges(Ino ino, const Caller& caller);
  // Sets kImmutable and kAppendOnly to what `flags` says. Changes of names and xattrs heed them
  // here (EPERM); those of attributes and content, the FileSystem. ENOSPC
  // where the xattrs leave no room.
  Status SetFlags(Ino ino, uint32_t flags);
  // Sets ctime (not earlier than it is) without other changes.
  Status Touch(Ino ino, Time ctime);

  // Calls `visit` for entries after `cookie` (0: from the start; "." is 1, ".." 2) in cookie order
  // until it returns false. No entry that is there all the time is missed or given twice, whatever
  // is created and removed meanwhile.
  Status List(Ino directory, uint64_t cookie,
              const std::function<bool(const DirectoryEntry&)>& visit);
  // The same, with each entry's attributes (one MultiGet for a batch of entries). An entry whose
  // inode is gone meanwhile is left out.
  Status ListWithAttributes(
      Ino directory, uint64_t cookie,
      const std::function<bool(const DirectoryEntry&, const Attributes&)>& visit);

  // xattrs of user., trusted., security. and the two ACLs, real ones only; EOPNOTSUPP for other
  // names that are not there, EINVAL for a prefix alone. ENODATA, EEXIST, ERANGE, ENOSPC as ext4;
  // E2BIG over 64 KiB. system.posix_acl_access and _default are parsed (EINVAL), and the access ACL
  // is kept in step with the mode; setfacl by a caller outside the file's group (not root) drops
  // S_ISGID.
  Result<std::string> GetXattr(Ino ino, std::string_view name);
  Status SetXattr(Ino ino, std::string_view name, std::string_view value, int flags,
                  const Caller& caller);
  Status RemoveXattr(Ino ino, std::string_view name);
  Result<std::vector<std::string>> ListXattrs(Ino ino);

  // A path for messages, "inode N" where none is known (the recorded parent and cookie are hints).
  std::string PathOf(Ino ino);
  // Tells each entry of the given inodes (ascending), in any order: reads every entry of the store.
  Status ForEachNameOf(std::span<const Ino> inos,
                       const std::function<void(Ino, Ino parent, const std::string& name)>& visit);
  // The last name an inode was given (hint; empty if unknown), and its library: the top-level
  // directory above it (kRootIno for what lies in the root itself).
  Result<std::string> NameOf(Ino ino);
  Result<Ino> LibraryOf(Ino ino);

  // Orphans left by a crash or still open.
  Result<std::vector<Ino>> Orphans();
  // Adds to `batch` the removal of an orphan's inode record, xattrs and orphan row.
  Status EraseOrphan(Ino ino, Batch& batch);

  // Inodes in the store (kept as a sum, for statfs).
  uint64_t InodeCount() const;

  // Read-only verification of all rows of kInode, kDentry, kXattr and kOrphan: they parse; every
  // entry names an inode, every inode but orphans and the root has as many entries as its nlink
  // says; directories are a tree; entry counts are right. Memory is bounded for each million of
  // inodes (a few bytes each). Problems go to `report` with the inode.
  Status Check(const std::function<void(Ino, const std::string&)>& report);

 private:
  struct Parts;
  explicit Namespace(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dedupfs
