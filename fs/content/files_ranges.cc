// Changes and questions of ranges: sizes, holes, allocation, copies.
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "fs/content/content_view.h"
#include "fs/content/files.h"

namespace dedupfs {
namespace {

// Of one CopyRange: bounds what its recipe takes in memory, and how many chunks it pins.
constexpr size_t kCopyEntries = 64 << 10;
constexpr uint64_t kCopyStep = 1ull << 30;
constexpr int kSeekAttempts = 8;

bool AllZero(Bytes bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} &&
          std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

void Files::TruncateLocked(FileState& file, uint64_t size) {
  if (size == 0 && file.committed.size > 0 && file.open_handles > 0 && !file.emptied) {
    file.emptied = std::chrono::steady_clock::now();
  }
  if (size < file.size) {
    // Zeros over what is cut off hide it for good, should the file grow again before the recipe
    // is committed anew.
    Extent zeros;
    zeros.offset = size;
    zeros.length = std::max({file.size, file.committed.recipe_size, file.extents.End()}) - size;
    zeros.sequence = ++file.last_sequence;
    file.extents.Insert(std::move(zeros));
  }
  file.size = size;
}

Status Files::SetSize(Ino ino, uint64_t size) {
  if (options_.read_only) return Fail(EROFS, "the store is mounted read-only");
  DEDUPFS_RETURN_IF_ERROR(chunks_.Failure());
  if (size > kMaxFileSize) {
    return Fail(EFBIG, "inode " + std::to_string(ino) + ": a file ends at 16 TiB");
  }
  DEDUPFS_ASSIGN_OR_RETURN(FilePtr file, table_.Get(ino));
  {
    MutexLock lock(file->mutex);
    TruncateLocked(*file, size);
    ChangedLocked(*file);
  }
  flusher_.NoteChange(file);
  table_.Release(std::move(file));
  return Ok();
}

Status Files::SetModificationTime(Ino ino, Time mtime, Time ctime) {
  DEDUPFS_ASSIGN_OR_RETURN(FilePtr file, table_.Get(ino));
  {
    MutexLock lock(file->mutex);
    file->mtime = mtime;
    file->times_unknown = false;
    file->ctime = std::max(file->ctime, ctime);
    file->attributes_dirty = true;
  }
  flusher_.NoteChange(file);
  table_.Release(std::move(file));
  return Ok();
}

Status Files::Allocate(OpenFile& handle, int mode, uint64_t offset, uint64_t length) {
  DEDUPFS_RETURN_IF_ERROR(CheckWritable(handle));
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const int kind = mode & ~FALLOC_FL_KEEP_SIZE;
  if (length == 0) return Fail(EINVAL, "fallocate of no bytes");
  if (kind != 0 && kind != FALLOC_FL_PUNCH_HOLE && kind != FALLOC_FL_ZERO_RANGE) {
    return Fail(EOPNOTSUPP, "fallocate mode " + std::to_string(mode));
  }
  if (kind == FALLOC_FL_PUNCH_HOLE && !keep_size) {
    return Fail(EOPNOTSUPP, "punching a hole without keeping the size");
  }
  FileState& file = *handle.file;
  if (offset > kMaxFileSize || length > kMaxFileSize - offset) {
    return Fail(EFBIG, "inode " + std::to_string(file.ino) + ": a file ends at 16 TiB");
  }
  if (kind == 0) DEDUPFS_RETURN_IF_ERROR(chunks_.CheckSpace(flusher_.dirty_bytes() + length));
  {
    MutexLock lock(file.mutex);
    if (kind != 0) DEDUPFS_RETURN_IF_ERROR(CheckAppends(handle, file, offset));
    const uint64_t end = offset + length;
    if (!keep_size && end > file.size) TruncateLocked(file, end);
    const uint64_t stop = std::min(end, file.size);
    if (kind != 0 && stop > offset) {
      Extent zeros;
      zeros.offset = offset;
      zeros.length = stop - offset;
      zeros.sequence = ++file.last_sequence;
      file.extents.Insert(std::move(zeros));
    }
    ChangedLocked(file);
  }
  flusher_.NoteChange(handle.file);
  return Ok();
}

Result<uint64_t> Files::Seek(OpenFile& handle, uint64_t offset, int whence) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) return Fail(EINVAL, "unknown whence");
  for (int attempt = 1;; ++attempt) {
    auto found = SeekOnce(*handle.file, offset, whence);
    if (found || found.error().code != ENOENT) return found;
    // As for Read: a commit replaced the recipe meanwhile, and its old chunks are gone already.
    if (attempt == kSeekAttempts) return Fail(EIO, found.error().message);
    MutexLock lock(handle.file->mutex);
    handle.file->pages.clear();
  }
}

Result<uint64_t> Files::SeekOnce(FileState& file, uint64_t offset, int whence) {
  std::vector<Extent> extents;
  uint64_t size = 0;
  {
    MutexLock lock(file.mutex);
    size = file.size;
    extents = file.extents.Overlapping(offset - offset % kHoleBlock, size);
  }
  if (offset >= size) return Fail(ENXIO, "beyond the end of the file");
  ContentView view(kv_, chunks_, file, std::move(extents), size);
  Buffer block;
  uint64_t position = offset - offset % kHoleBlock;
  while (position < size) {
    DEDUPFS_ASSIGN_OR_RETURN(const uint64_t zeros_end, view.KnownZerosEnd(position));
    uint64_t next = zeros_end;
    bool hole = next > position;
    if (!hole) {
      next = std::min(position + kHoleBlock, size);
      const ContentView::Piece piece = view.PieceAt(position);
      if (piece.extent == nullptr && piece.end >= next) {
        // By the recipe alone: a block that is no hole holds data, to the end of its chunk.
        DEDUPFS_ASSIGN_OR_RETURN(const auto entry, view.recipe().FirstEndingAfter(position));
        if (entry.has_value() && entry->offset <= position) {
          const uint64_t stop = std::min(entry->end(), piece.end);
          next = std::max(next, stop - stop % kHoleBlock);
        }
      } else {
        block.resize(next - position);
        DEDUPFS_RETURN_IF_ERROR(view.Read(position, block));
        hole = AllZero(block);
      }
    }
    if (hole == (whence == SEEK_HOLE)) return std::max(position, offset);
    position = next;
  }
  if (whence == SEEK_HOLE) return size;
  return Fail(ENXIO, "no data from there on");
}

Status Files::GatherRecipe(FileState& from, uint64_t offset, uint64_t& length,
                           std::vector<Extent>& extents, RecipeEntries& entries) {
  RecipeReader recipe(kv_, from);
  const uint64_t end = offset + length;
  uint64_t at = offset;
  size_t extent = 0;
  while (at < end && entries.size() < kCopyEntries) {
    if (extent < extents.size() && extents[extent].offset <= at) {
      at = extents[extent++].end();
      continue;
    }
    uint64_t stop = std::min(end, at + kCopyStep);
    if (extent < extents.size()) stop = std::min(stop, extents[extent].offset);
    DEDUPFS_RETURN_IF_ERROR(recipe.Entries(at, stop, entries));
    at = stop;
  }
  // One chunk may touch the parts on both sides of an extent or a step.
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  length = std::min(at, end) - offset;
  std::erase_if(extents, [&](const Extent& e) { return e.offset >= offset + length; });
  return Ok();
}

Status Files::CloneRange(FileState& from, uint64_t offset, uint64_t& length,
                         std::vector<Extent>& extents, CloneSource& source) {
  // No commit of the source comes between its extents and its recipe.
  const MutexLock flush(from.flush_mutex);
  {
    MutexLock lock(from.mutex);
    length = offset >= from.size ? 0 : std::min(length, from.size - offset);
    extents = from.extents.Overlapping(offset, offset + length);
    source.recipe_size = from.committed.recipe_size;
    source.policy = from.committed.policy;
  }
  DEDUPFS_RETURN_IF_ERROR(GatherRecipe(from, offset, length, extents, source.entries));
  std::vector<ChunkId> ids;
  ids.reserve(source.entries.size());
  for (const RecipeEntry& entry : source.entries) ids.push_back(entry.id);
  Status pinned = chunks_.Pin(ids, source.pins);
  if (!pinned && pinned.error().code == ENOENT) return Fail(EIO, pinned.error().message);
  return pinned;
}

Result<uint64_t> Files::CopyRange(OpenFile& from, uint64_t from_offset, OpenFile& to,
                                  uint64_t to_offset, uint64_t length) {
  DEDUPFS_RETURN_IF_ERROR(CheckWritable(to));
  FileState& source_file = *from.file;
  FileState& target = *to.file;
  flusher_.WaitForRoom();
  std::vector<Extent> extents;
  auto source = std::make_shared<CloneSource>();
  DEDUPFS_RETURN_IF_ERROR(CloneRange(source_file, from_offset, length, extents, *source));
  if (length == 0) return uint64_t{0};
  if (&source_file == &target && from_offset < to_offset + length &&
      to_offset < from_offset + length) {
    return Fail(EINVAL, "ranges of one file that overlap");
  }
  if (to_offset > kMaxFileSize || length > kMaxFileSize - to_offset) {
    return Fail(EFBIG, "inode " + std::to_string(target.ino) + ": a file ends at 16 TiB");
  }
  const uint64_t end = from_offset + length;
  const uint64_t shift = to_offset - from_offset;
  const auto recipe_part = [&](uint64_t begin, uint64_t stop) {
    Extent part;
    part.offset = begin + shift;
    part.length = stop - begin;
    part.clone = source;
    part.source_offset = begin;
    return part;
  };
  std::vector<Extent> parts;
  parts.reserve(2 * extents.size() + 1);
  uint64_t at = from_offset;
  for (Extent& extent : extents) {
    if (extent.offset > at) parts.push_back(recipe_part(at, extent.offset));
    at = extent.end();
    extent.offset += shift;
    parts.push_back(std::move(extent));
  }
  if (at < end) parts.push_back(recipe_part(at, end));
  {
    MutexLock lock(target.mutex);
    DEDUPFS_RETURN_IF_ERROR(CheckAppends(to, target, to_offset));
    for (Extent& part : parts) {
      part.sequence = ++target.last_sequence;
      target.extents.Insert(std::move(part));
    }
    target.size = std::max(target.size, to_offset + length);
    ChangedLocked(target);
  }
  flusher_.NoteChange(to.file);
  return length;
}

}  // namespace dedupfs
