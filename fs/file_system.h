// The file system of a store, without libfuse: what the FUSE adapter, the control socket and the
// tests call.
//
// Thread safety: every public method may be called concurrently; one OpenFile may be used by
// several threads,
//                but not while or after it is released.
// Ownership:     owns the database, the chunk store and all background threads. OpenFiles are the
// caller's, and
//                must be released before the FileSystem is destroyed.
// Durability:    a change of names is durable after a later Sync of any file or directory; content
//                after Fsync of its file. Everything is durable commit_interval_ms after it was
//                made at the latest, if nothing fails. Closing syncs everything.
// Errors:        the errno that ext4 gives; ESTALE for an unknown inode. An error of a background
//                write is returned by the next Write or Fsync of each OpenFile of that inode, once.
// Units:         see fs/types.h.
//
// Methods that say "remembers" count one kernel reference (nlookup) of the inode they return: an
// unlinked inode lives until Forget() took them all back and its last OpenFile was released.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/config.h"
#include "chunkstore/base/error.h"
#include "chunkstore/chunk_store.h"
#include "fs/damage.h"
#include "fs/disk.h"
#include "fs/types.h"

namespace dedupfs {

class OpenFile;

struct FormatOptions {
  uint32_t average_chunk_bytes = 32 << 10;  // frozen in the store
  uint32_t uid = 0, gid = 0;                // owner of the root directory
  Disk disk = {};
};

struct MountOptions {
  bool read_only = false;
  Disk disk = {};
  // Told, while Open() runs and on its thread, how many bytes of the database's log are replayed.
  WorkProgress replay_progress = nullptr;
};

struct FileSystemStats {
  StoreStats store;
  uint64_t inodes = 0;
  uint64_t dirty_bytes = 0;  // written, not yet in packs
  uint64_t orphans = 0;      // unlinked, still open or not yet purged
  uint64_t reclaiming_bytes =
      0;  // dead bytes in packs, and unlinked content still to be counted down
  std::string read_only_reason;  // empty while writable
};

// How far Reclaim, Recompress or work at extra copies is.
struct LongWork {
  // "purge" (counted in files), "rewrite" (stored bytes), "reclaim" (packs), "copies" (chunks that
  // were looked at) or "drop copies" (copies); empty: none runs.
  std::string what;
  uint64_t done = 0, total = 0;
};

struct FileSystemCheck {
  uint64_t inodes = 0;  // of every type
  uint64_t files = 0;   // with a content record: regular ones that are or were not empty
  uint64_t chunks = 0;
  uint64_t bytes = 0;  // sum of the files' sizes
  uint64_t problems = 0;
};

class FileSystem {
 public:
  // Makes a new store in `directory` (created; must be missing or empty: ENOTEMPTY).
  static Status Format(const std::string& directory, const FormatOptions& options);
  // Opens a store. ENOENT: no store there; EBUSY: in use by another process; EPROTO: a store of a
  // newer format. O(1) in the size of the store.
  static Result<std::unique_ptr<FileSystem>> Open(const std::string& directory,
                                                  const MountOptions& options);
  // Makes everything durable and ends (errors are logged). Prefer Close() to see them.
  ~FileSystem();
  Status Close();

  // --- names ------------------------------------------------------------------------------
  Result<Attributes> Lookup(Ino parent, std::string_view name);  // remembers
  void Forget(Ino ino, uint64_t count);
  Result<Attributes> GetAttributes(Ino ino);
  // A change of size goes to the content (EFBIG, EISDIR, EINVAL); `file` is the handle if there is
  // one.
  Result<Attributes> SetAttributes(Ino ino, const AttributeChange& change, const Caller& caller,
                                   OpenFile* file);
  // kImmutable and kAppendOnly, and nothing else. They forbid (EPERM) what chattr(1) says, but do
  // not reach handles that are open already.
  Status SetFlags(Ino ino, uint32_t flags);
  // mkdir, mknod, symlink by the type in `mode`; remembers.
  Result<Attributes> Create(Ino parent, std::string_view name, uint32_t mode, uint64_t rdev,
                            std::string_view target, const Caller& caller);
  Result<Attributes> Link(Ino ino, Ino parent, std::string_view name);  // remembers
  Status Unlink(Ino parent, std::string_view name);
  Status RemoveDirectory(Ino parent, std::string_view name);
  // A content that replaces another is committed before the rename, so that a crash leaves the old
  // or the new, never less.
  Status Rename(Ino parent, std::string_view name, Ino new_parent, std::string_view new_name,
                unsigned flags);
  Result<std::string> ReadLink(Ino ino);
  Status List(Ino directory, uint64_t cookie,
              const std::function<bool(const DirectoryEntry&)>& visit);
  // Entries with attributes; remembers each entry for which `visit` returned true, but not . and ..
  Status ListWithAttributes(
      Ino directory, uint64_t cookie,
      const std::function<bool(const DirectoryEntry&, const Attributes&)>& visit);

  // --- xattrs: real ones, and virtual ones (read-only, not listed): user.dedupfs.* of a file; of a
  // directory [user.]glusterfs.get_real_filename:NAME, the entry that is NAME but for its case
  // (ENOENT: none is) ---------------------------------------------------------------------------
  Result<std::string> GetXattr(Ino ino, std::string_view name);
  Status SetXattr(Ino ino, std::string_view name, std::string_view value, int flags,
                  const Caller& caller);
  Status RemoveXattr(Ino ino, std::string_view name);
  Result<std::vector<std::string>> ListXattrs(Ino ino);

  // --- content of regular files ----------------------------------------------------------------
  // EISDIR, ELOOP (symlink), ENXIO (special file), EROFS, EPERM (flags). `flags` as of
  // open(2): O_TRUNC, O_APPEND and O_ACCMODE count. A handle that may write to an append-only inode
  // gets EPERM for every change below the size, for as long as it is open.
  Result<std::unique_ptr<OpenFile>> Open(Ino ino, int flags);
  Result<std::unique_ptr<OpenFile>> CreateAndOpen(Ino parent, std::string_view name, uint32_t mode,
                                                  int flags, const Caller& caller,
                                                  Attributes& attributes);  // remembers
  void Release(std::unique_ptr<OpenFile> file);
  // Bytes read; fewer than asked for only at the end of the file.
  Result<size_t> Read(OpenFile& file, uint64_t offset, MutableBytes out);
  // Takes all of `data` or none. EFBIG, ENOSPC, EROFS. `clear_privileges`: the kernel asks for
  // set-id bits to go that `writer` may not keep.
  Status Write(OpenFile& file, uint64_t offset, Bytes data, bool clear_privileges,
               WriteTimes times = WriteTimes::kNow, WriteOrigin origin = WriteOrigin::kProgram,
               const Caller& writer = {});
  Status Fsync(OpenFile& file);
  Status FsyncDirectory(Ino ino);
  // whence is SEEK_DATA or SEEK_HOLE; ENXIO at or beyond the end.
  Result<uint64_t> Seek(OpenFile& file, uint64_t offset, int whence);
  // mode as of fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE]; others
  // EOPNOTSUPP.
  Status Allocate(OpenFile& file, int mode, uint64_t offset, uint64_t length);
  // Copies recipes, not bytes. EINVAL for overlapping ranges of one file.
  Result<uint64_t> CopyRange(OpenFile& from, uint64_t from_offset, OpenFile& to, uint64_t to_offset,
                             uint64_t length);

  // --- the whole
  // ---------------------------------------------------------------------------------- Commits
  // everything and makes it durable.
  Status SyncAll();
  struct Space {
    uint64_t total_bytes = 0, free_bytes = 0, available_bytes = 0;
    uint64_t files = 0, files_free = 0;
  };
  Space StatFs();  // no I/O beyond a statvfs that is at most a second old
  Result<FileSystemStats> Stats();
  // Makes everything durable, then a copy of the database as of then in the new directory
  // `directory`: it names durable bytes only. EROFS where opened read-only.
  Status Checkpoint(const std::string& directory);
  // Waits until unlinked content has been counted down and dead packs are gone; bytes given back.
  Result<uint64_t> Reclaim();
  // Rewrites all packs that are worth it with zstd, now; first as Reclaim. EINTR after
  // StopLongWork(): what was rewritten until then stays so.
  Result<RewriteReport> Recompress();
  // Makes the extra copies that are missing, now, or forgets all; first as Reclaim. EINVAL where
  // none are wanted. EINTR after StopLongWork().
  Result<CopyReport> MakeCopies();
  Result<CopyReport> DropCopies();
  // Of the latest of these, where several run.
  LongWork WorkUnderWay();
  // Scrubbing: as ChunkStore says. What it finds damaged is told below.
  Status StartScrub(const ScrubOptions& options);
  void CancelScrub();
  Result<ScrubStatus> WaitForScrub(std::chrono::milliseconds time);
  // At most `limit` damaged chunks with ids greater than `after`; `next` is where to go on, if
  // there are more.
  Result<std::vector<ChunkInfo>> DamagedChunks(ChunkId after, size_t limit,
                                               std::optional<ChunkId>& next);
  // A portion of the files and byte ranges whose committed content lies in damaged chunks. The
  // first begins with DamageCursor(), which goes over all recipes once; memory is bounded.
  Result<DamagedFiles> FindDamage(const DamageCursor& from);
  // Has Recompress, work at extra copies and a scrub end soon, now and from now on.
  void StopLongWork();
  // EROFS/EIO and the reason, where the store has turned read-only by a failure.
  Status Failure() const;
  std::string PathOf(Ino ino);
  // Every unlinked inode is purged and everything is quiet (tests).
  Status WaitForBackground();

  // Read-only verification of a store that no daemon has open (takes its lock; EBUSY). Each problem
  // goes to `report` as one line that names the file (or pack, or chunk).
  static Result<FileSystemCheck> Check(
      const std::string& directory, const std::function<void(const std::string&)>& report,
      const std::function<void(const ChunkStore::CheckProgress&)>& progress);

  // The inode of a handle; whether it refuses changes below the size; whether there was data in the
  // file when it was opened.
  static Ino InodeOf(const OpenFile& file);
  static bool IsAppendOnly(const OpenFile& file);
  static bool HadBlocks(const OpenFile& file);

 private:
  Status PurgeAll();
  struct Parts;
  explicit FileSystem(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dedupfs
