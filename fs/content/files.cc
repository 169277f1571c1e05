#include "fs/content/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "chunkstore/base/log.h"
#include "fs/content/content_view.h"
#include "fs/content/dirty_row.h"

namespace dedupfs {
namespace {

constexpr int kReadAttempts = 8;
constexpr uint64_t kBlockUnit = 512;

uint64_t Blocks(uint64_t data_bytes) { return (data_bytes + kBlockUnit - 1) / kBlockUnit; }

void Overlay(FileState& file, Attributes& attributes) REQUIRES(file.mutex) {
  attributes.size = file.size;
  // Until it is committed, what is dirty counts as data over the recipe, up to the size.
  const uint64_t data = file.committed.data_bytes + file.extents.dirty_bytes();
  const uint64_t rounded = (file.size + kHoleBlock - 1) / kHoleBlock * kHoleBlock;
  attributes.blocks = Blocks(std::min(data, rounded));
  if (file.has_record || file.IsDirty()) {
    attributes.mtime = file.mtime;
    attributes.ctime = std::max(attributes.ctime, file.ctime);
  }
}

}  // namespace

Files::Files(Kv& kv, ChunkStore& chunks, const FilesOptions& options, Committer::HintsOf hints_of,
             Committer::PathOf path_of, ClearPrivileges clear_privileges)
    : kv_(kv),
      chunks_(chunks),
      options_(options),
      clear_privileges_(std::move(clear_privileges)),
      table_(kv),
      committer_(kv, chunks, options.average_chunk_bytes, std::move(hints_of), std::move(path_of)),
      flusher_(table_, committer_, chunks, {options.dirty_budget_bytes, options.commit_interval}) {}

Files::~Files() = default;

Status Files::Complete(std::span<Attributes> attributes) {
  std::vector<std::string> keys;
  std::vector<size_t> places;
  keys.reserve(attributes.size());
  places.reserve(attributes.size());
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (!S_ISREG(attributes[i].mode)) continue;
    if (FilePtr file = table_.Find(attributes[i].ino); file != nullptr) {
      bool loaded = false;
      {
        MutexLock lock(file->mutex);
        loaded = file->loaded;
        if (loaded) Overlay(*file, attributes[i]);
      }
      table_.Release(std::move(file));
      if (loaded) continue;
    }
    keys.push_back(ContentKey(attributes[i].ino));
    places.push_back(i);
  }
  if (keys.empty()) return Ok();
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, kv_.MultiGet(Family::kContent, views));
  for (size_t i = 0; i < places.size(); ++i) {
    if (!rows[i].has_value()) continue;
    Attributes& out = attributes[places[i]];
    DEDUPFS_ASSIGN_OR_RETURN(const ContentRecord record, ParseContentRecord(out.ino, *rows[i]));
    out.size = record.size;
    out.blocks = Blocks(record.data_bytes);
    out.mtime = record.mtime;
    out.ctime = std::max(out.ctime, record.ctime);
  }
  return Ok();
}

Result<std::unique_ptr<OpenFile>> Files::Open(Ino ino, bool may_write, Time made,
                                              bool append_only) {
  DEDUPFS_ASSIGN_OR_RETURN(FilePtr file, table_.Get(ino));
  auto handle = std::make_unique<OpenFile>(file, may_write, append_only);
  MutexLock lock(file->mutex);
  ++file->open_handles;
  if (!file->has_record && !file->IsDirty()) file->mtime = file->ctime = made;
  handle->seen_error = file->error_number;
  handle->had_blocks = file->committed.data_bytes + file->extents.dirty_bytes() > 0;
  return handle;
}

void Files::Release(std::unique_ptr<OpenFile> handle) {
  FilePtr file = handle->file;
  {
    MutexLock lock(file->mutex);
    if (--file->open_handles == 0) file->emptied.reset();
  }
  handle.reset();
  table_.Release(std::move(file));
}

Status Files::TakeError(OpenFile& handle) {
  FileState& file = *handle.file;
  MutexLock lock(file.mutex);
  if (handle.seen_error == file.error_number) return Ok();
  handle.seen_error = file.error_number;
  return Fail(file.error_code, file.error_message);
}

Status Files::CheckWritable(OpenFile& handle) {
  if (options_.read_only) return Fail(EROFS, "the store is mounted read-only");
  if (!handle.writable) {
    return Fail(EBADF, "inode " + std::to_string(handle.file->ino) + " is not open for writing");
  }
  DEDUPFS_RETURN_IF_ERROR(chunks_.Failure());
  return TakeError(handle);
}

Status Files::CheckAppends(const OpenFile& handle, const FileState& file, uint64_t offset) {
  if (!handle.append_only || offset >= file.size) return Ok();
  return Fail(EPERM, "inode " + std::to_string(file.ino) + " is append-only");
}

Result<size_t> Files::Read(OpenFile& handle, uint64_t offset, MutableBytes out) {
  FileState& file = *handle.file;
  for (int attempt = 1;; ++attempt) {
    auto read = ReadOnce(file, offset, out);
    if (read || read.error().code != ENOENT || attempt == kReadAttempts) {
      if (!read && read.error().code == ENOENT) return Fail(EIO, read.error().message);
      return read;
    }
    // A commit replaced the recipe meanwhile, and its old chunks are gone already.
    MutexLock lock(file.mutex);
    file.pages.clear();
  }
}

Result<size_t> Files::ReadOnce(FileState& file, uint64_t offset, MutableBytes out) {
  std::vector<Extent> extents;
  uint64_t size = 0;
  {
    MutexLock lock(file.mutex);
    size = file.size;
    if (offset >= size) return size_t{0};
    out = out.first(std::min<uint64_t>(out.size(), size - offset));
    extents = file.extents.Overlapping(offset, offset + out.size());
  }
  ContentView view(kv_, chunks_, file, std::move(extents), size);
  DEDUPFS_RETURN_IF_ERROR(view.Read(offset, out));
  return out.size();
}

void Files::ChangedLocked(FileState& file) {
  file.mtime = file.ctime = Now();
  file.times_unknown = false;
  file.attributes_dirty = true;
}

Status Files::Write(OpenFile& handle, uint64_t offset, Bytes data, bool clear_privileges,
                    WriteTimes times, WriteOrigin origin, const Caller& writer) {
  DEDUPFS_RETURN_IF_ERROR(CheckWritable(handle));
  if (data.empty()) return Ok();
  FileState& file = *handle.file;
  if (offset > kMaxFileSize || data.size() > kMaxFileSize - offset) {
    return Fail(EFBIG, "inode " + std::to_string(file.ino) + ": a file ends at 16 TiB");
  }
  flusher_.WaitForRoom();
  DEDUPFS_RETURN_IF_ERROR(chunks_.CheckSpace(flusher_.dirty_bytes() + data.size()));
  if (clear_privileges) {
    bool look = false;
    {
      MutexLock lock(file.mutex);
      look = std::exchange(file.may_have_privileges, false);
    }
    if (look) {
      const auto some_stay = clear_privileges_(file.ino, writer);
      // After an error the next write must look again, too.
      if (!some_stay || *some_stay) PrivilegesMayHaveCome(file.ino);
      DEDUPFS_RETURN_IF_ERROR(some_stay);
    }
  }
  Extent extent;
  extent.offset = offset;
  extent.length = data.size();
  extent.data = std::make_shared<const Buffer>(data.begin(), data.end());
  {
    MutexLock lock(file.mutex);
    if (origin == WriteOrigin::kProgram) {
      DEDUPFS_RETURN_IF_ERROR(CheckAppends(handle, file, offset));
    }
    extent.sequence = ++file.last_sequence;
    file.extents.Insert(std::move(extent));
    if (offset + data.size() > file.size) {
      file.size = offset + data.size();
      file.attributes_dirty = true;
    }
    if (times == WriteTimes::kNow) {
      ChangedLocked(file);
    } else {
      file.times_unknown = file.has_record;
    }
  }
  flusher_.NoteChange(handle.file);
  return Ok();
}

Status Files::Persist(const FilePtr& file, Durability durability, bool may_log) {
  Status result;
  {
    MutexLock flush(file->flush_mutex);
    bool dirty = false;
    {
      MutexLock lock(file->mutex);
      dirty = file->IsDirty();
    }
    if (!dirty) {
      result = durability == Durability::kSynced ? chunks_.SyncLog() : Ok();
    } else if (may_log && Committer::MayLog(*file)) {
      result = committer_.Log(*file, durability);
      // A copy into the file came after the look at it.
      may_log = result || result.error().code != EOPNOTSUPP;
    } else {
      may_log = false;
    }
    if (dirty && !may_log) {
      result = committer_.Commit(std::span<const FilePtr>(&file, 1), durability);
    }
  }
  flusher_.UpdateWeight(*file);
  return result;
}

Status Files::Fsync(OpenFile& handle) {
  if (options_.read_only) return Ok();
  DEDUPFS_RETURN_IF_ERROR(Persist(handle.file, Durability::kSynced, true));
  // An error beside an edit of this very commit, or of an earlier one in the background.
  return TakeError(handle);
}

Status Files::CommitInOrder(Ino ino) {
  FilePtr file = table_.Find(ino);
  if (file == nullptr) return Ok();
  Status persisted = Persist(file, Durability::kBuffered, true);
  table_.Release(std::move(file));
  return persisted;
}

Status Files::SyncAll() {
  if (options_.read_only) return Ok();
  return flusher_.FlushAll(Durability::kSynced);
}

Status Files::RecoverDirty() {
  std::string from;
  while (true) {
    Ino ino = 0;
    {
      const auto rows = kv_.Iterate(Family::kDirty, from, "");
      DEDUPFS_RETURN_IF_ERROR(rows->status());
      if (!rows->Valid()) return Ok();
      if (rows->key().size() < 8) return Corrupt("dirty extent with a key of the wrong length");
      ino = DirtyInoOfKey(rows->key());
    }
    flusher_.WaitForRoom();
    if (auto file = table_.Get(ino); file) {
      flusher_.NoteChange(*file);
      table_.Release(std::move(*file));
    } else {
      LogError("recover_failed", "error=\"" + file.error().message + "\"");
    }
    from = ContentKey(ino + 1);
  }
}

void Files::PrivilegesMayHaveCome(Ino ino) {
  FilePtr file = table_.Find(ino);
  if (file == nullptr) return;
  {
    MutexLock lock(file->mutex);
    file->may_have_privileges = true;
  }
  table_.Release(std::move(file));
}

}  // namespace dedupfs
