// Scrubbing, and what it knows of damage.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "fs/content/damaged_ranges.h"
#include "fs/file_system.h"
#include "fs/file_system_parts.h"

namespace dedupfs {
namespace {

// The recipes are gone over once for so many damaged chunks: 32 MiB of ids.
constexpr size_t kChunksAtOnce = 4 << 20;
// A portion ends with the page that brings it over this: it must fit into a frame of the control
// socket, where a byte of a path takes six at the most.
constexpr size_t kPortionBytes = 64 << 10;
constexpr size_t kOtherPathsBytes = 64 << 10;
constexpr size_t kBytesOfARange = 48;
constexpr size_t kLongestPath = 32 << 10;

// `linked`: the files with more names, ascending as `files` are. What other paths are longer than
// the one that is known, beyond the size of a portion, is only counted.
Status AddOtherPaths(Namespace& names, const std::vector<Ino>& linked,
                     std::vector<DamagedFile>& files) {
  if (linked.empty()) return Ok();
  size_t bytes = 0;
  return names.ForEachNameOf(linked, [&](Ino ino, Ino parent, const std::string& name) {
    const auto file = std::lower_bound(files.begin(), files.end(), ino,
                                       [](const DamagedFile& a, Ino b) { return a.ino < b; });
    if (file == files.end() || file->ino != ino) return;
    std::string path = parent == kRootIno ? "" : names.PathOf(parent);
    path.append("/").append(name);
    if (path == file->path) return;
    if (file->other_paths.size() == kMostOtherPaths || bytes + path.size() > kOtherPathsBytes) {
      ++file->more_paths;
      return;
    }
    bytes += path.size();
    file->other_paths.push_back(std::move(path));
  });
}

}  // namespace

Status FileSystem::StartScrub(const ScrubOptions& options) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  if (parts_->stop_long_work.load()) return Fail(EINTR, "the store is being closed");
  return parts_->chunks->StartScrub(options);
}

void FileSystem::CancelScrub() { parts_->chunks->CancelScrub(); }

Result<ScrubStatus> FileSystem::WaitForScrub(std::chrono::milliseconds time) {
  return parts_->chunks->WaitForScrub(time);
}

Result<std::vector<ChunkInfo>> FileSystem::DamagedChunks(ChunkId after, size_t limit,
                                                         std::optional<ChunkId>& next) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto ids, parts_->chunks->DamagedChunks(after, limit));
  next.reset();
  if (ids.size() == limit && limit > 0) next = ids.back();
  DEDUPFS_ASSIGN_OR_RETURN(const auto found, parts_->chunks->Lookup(ids));
  std::vector<ChunkInfo> infos;
  infos.reserve(found.size());
  for (const auto& info : found) {
    if (info && info->condemned) infos.push_back(*info);
  }
  return infos;
}

Result<DamagedFiles> FileSystem::FindDamage(const DamageCursor& from) {
  DamagedFiles result;
  DEDUPFS_ASSIGN_OR_RETURN(const auto ids,
                           parts_->chunks->DamagedChunks(from.after, kChunksAtOnce));
  if (ids.empty()) return result;
  size_t bytes = 0;
  std::vector<Ino> linked;  // files with more names
  const auto add = [&](Ino ino, std::vector<DamagedRange> ranges) {
    if (result.files.empty() || result.files.back().ino != ino) {
      DamagedFile& file = result.files.emplace_back();
      file.ino = ino;
      file.path = parts_->names->PathOf(ino);
      if (file.path.size() > kLongestPath) file.path = "inode " + std::to_string(ino);
      const auto attributes = parts_->names->Get(ino);
      const uint64_t others = attributes && attributes->nlink > 1 ? attributes->nlink - 1 : 0;
      if (others > 0) linked.push_back(ino);
      bytes += file.path.size() * (1 + std::min<uint64_t>(others, kMostOtherPaths));
    }
    std::vector<DamagedRange>& known = result.files.back().ranges;
    known.insert(known.end(), ranges.begin(), ranges.end());
    bytes += ranges.size() * kBytesOfARange;
    return bytes < kPortionBytes;
  };
  DEDUPFS_ASSIGN_OR_RETURN(const auto place,
                           FindDamagedRanges(*parts_->kv, ids, {from.ino, from.page}, add));
  DEDUPFS_RETURN_IF_ERROR(AddOtherPaths(*parts_->names, linked, result.files));
  if (place) {
    result.next = DamageCursor{from.after, place->ino, place->page};
  } else if (ids.size() == kChunksAtOnce) {
    result.next = DamageCursor{ids.back(), 0, 0};
  }
  return result;
}

}  // namespace dedupfs
