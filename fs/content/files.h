// The content of regular files: reads, writes, sizes, holes, copies, and when it becomes durable.
//
// The way of a write:  Files::Write -> Flusher::NoteChange ... Flusher -> Committer::Commit ->
//                      Rechunker::Run -> ChunkStore::Store -> ChunkStore::Commit.
// The way of a read:   Files::Read -> ContentView::Read -> RecipeReader::Entries ->
//                      ChunkStore::ReadMany.
//
// Thread safety: every public method may be called concurrently; an OpenFile only until it is
//                released.
// Ownership:     borrows kv, chunks and names, which outlive it.
// Durability:    Fsync: data, size, times and (as the log is one) every earlier change of names.
//                Others: at the latest after two commit intervals.
// Errors:        EFBIG, ENOSPC, EROFS, EINVAL, ENXIO as the system calls give them; an error of a
//                background commit comes once from the next Write or Fsync of each handle.
// Units:         bytes of the file; times as in fs/types.h.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/committer.h"
#include "fs/content/file_table.h"
#include "fs/content/flusher.h"
#include "fs/content/open_file.h"
#include "fs/types.h"

namespace dedupfs {

struct FilesOptions {
  uint32_t average_chunk_bytes = 32 << 10;
  uint64_t dirty_budget_bytes = 256ull << 20;
  std::chrono::milliseconds commit_interval{5000};
  bool read_only = false;
};

class Files {
 public:
  // `clear_privileges` drops the set-id bits of an inode for a write by the caller and returns
  // whether some stay that another's write would drop; `hints_of` tells name and library rule.
  using ClearPrivileges = std::function<Result<bool>(Ino, const Caller&)>;
  Files(Kv& kv, ChunkStore& chunks, const FilesOptions& options, Committer::HintsOf hints_of,
        Committer::PathOf path_of, ClearPrivileges clear_privileges);
  ~Files();

  // Fills in size, blocks, mtime and ctime of the regular files among `attributes`.
  Status Complete(std::span<Attributes> attributes);

  // `made`: when the inode was made, which is the mtime of a file that nothing was written to yet.
  // An append-only handle gets EPERM for what would change bytes below the size.
  Result<std::unique_ptr<OpenFile>> Open(Ino ino, bool may_write, Time made = 0,
                                         bool append_only = false);
  void Release(std::unique_ptr<OpenFile> handle);

  Result<size_t> Read(OpenFile& handle, uint64_t offset, MutableBytes out);
  Status Write(OpenFile& handle, uint64_t offset, Bytes data, bool clear_privileges,
               WriteTimes times = WriteTimes::kNow, WriteOrigin origin = WriteOrigin::kProgram,
               const Caller& writer = {});
  Status Fsync(OpenFile& handle);
  Result<uint64_t> Seek(OpenFile& handle, uint64_t offset, int whence);
  Status Allocate(OpenFile& handle, int mode, uint64_t offset, uint64_t length);
  Result<uint64_t> CopyRange(OpenFile& from, uint64_t from_offset, OpenFile& to, uint64_t to_offset,
                             uint64_t length);

  Status SetSize(Ino ino, uint64_t size);
  Status SetModificationTime(Ino ino, Time mtime, Time ctime);
  // Set-id bits or capabilities may have come: the next write that must looks again.
  void PrivilegesMayHaveCome(Ino ino);

  // Writes the file's changes to the database or its log, without waiting for the disk's sync of
  // the log: they come before everything that is written later. For a rename that replaces a file.
  Status CommitInOrder(Ino ino);
  Status SyncAll();
  // Queues the files whose dirty extents a crash left in the database.
  Status RecoverDirty();

  // Counts the chunks of an unlinked file down, in bounded batches, and forgets it. `last` is
  // written in the same batch as the removal of its content record. Can be killed and repeated.
  Status Purge(Ino ino, Batch last);

  // The file's story for a virtual xattr ("content_id", "stored_bytes", "unique_bytes",
  // "shared_bytes", "chunks", "chunking"); ENODATA for another name. Commits the file's changes
  // first.
  Result<std::string> Story(Ino ino, std::string_view name);

  uint64_t dirty_bytes() const { return flusher_.dirty_bytes(); }

 private:
  Status CheckWritable(OpenFile& handle);
  // EPERM where `handle`, of `file`, is append-only and `offset` lies below the size.
  static Status CheckAppends(const OpenFile& handle, const FileState& file, uint64_t offset)
      REQUIRES(file.mutex);
  Result<size_t> ReadOnce(FileState& file, uint64_t offset, MutableBytes out);
  // Commits or logs the changes of one file; flush_mutex is taken here.
  Status Persist(const FilePtr& file, Durability durability, bool may_log);
  static Status TakeError(OpenFile& handle);
  static void TruncateLocked(FileState& file, uint64_t size) REQUIRES(file.mutex);
  static void ChangedLocked(FileState& file) REQUIRES(file.mutex);
  // Snapshots a range for a copy: its dirty extents, and the recipe between them, pinned. Cuts
  // `length` at the end of the file.
  Status CloneRange(FileState& from, uint64_t offset, uint64_t& length,
                    std::vector<Extent>& extents, CloneSource& source);
  Result<uint64_t> SeekOnce(FileState& file, uint64_t offset, int whence);
  // The recipe of the range where no extent lies over it; cuts `length` and `extents` where that is
  // very much.
  Status GatherRecipe(FileState& from, uint64_t offset, uint64_t& length,
                      std::vector<Extent>& extents, RecipeEntries& entries);

  Kv& kv_;
  ChunkStore& chunks_;
  const FilesOptions options_;
  const ClearPrivileges clear_privileges_;
  FileTable table_;
  Committer committer_;
  Flusher flusher_;
};

}  // namespace dedupfs
