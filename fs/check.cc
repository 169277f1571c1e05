// FileSystem::Check: the whole store, read-only.
#include <sys/stat.h>

#include <unordered_set>

#include "fs/content/content_check.h"
#include "fs/file_system.h"
#include "fs/file_system_parts.h"

namespace dedupfs {
namespace {

constexpr size_t kNamedChunks = 100'000;  // of damaged chunks whose files are looked for

}  // namespace

Result<FileSystemCheck> FileSystem::Check(
    const std::string& directory, const std::function<void(const std::string&)>& report,
    const std::function<void(const ChunkStore::CheckProgress&)>& progress) {
  Parts parts;
  DEDUPFS_RETURN_IF_ERROR(parts.OpenStore(directory, MountOptions{.read_only = true}));
  FileSystemCheck result;
  const auto inode_problem = [&](Ino ino, const std::string& what) {
    ++result.problems;
    report((ino == 0 ? std::string() : parts.names->PathOf(ino) + ": ") + what);
  };
  DEDUPFS_RETURN_IF_ERROR(parts.names->Check(inode_problem));

  ContentCheck content(*parts.kv, inode_problem);
  DEDUPFS_RETURN_IF_ERROR(content.CheckRows([&](Ino ino) -> Result<ContentCheck::Kind> {
    const auto attributes = parts.names->Get(ino);
    if (!attributes || !S_ISREG(attributes->mode)) return ContentCheck::Kind::kOther;
    return attributes->nlink == 0 ? ContentCheck::Kind::kOrphanedFile : ContentCheck::Kind::kFile;
  }));

  std::unordered_set<ChunkId> damaged;
  ChunkStore::CheckHooks hooks;
  hooks.next_count = [&] {
    auto next = content.NextCount();
    if (next && next->has_value()) ++result.chunks;
    return next;
  };
  hooks.report = [&](ChunkId id, const std::string& what) {
    ++result.problems;
    report(what);
    if (id != 0 && damaged.size() < kNamedChunks) damaged.insert(id);
  };
  hooks.progress = progress;
  DEDUPFS_RETURN_IF_ERROR(parts.chunks->Check(hooks));
  if (!damaged.empty()) {
    DEDUPFS_RETURN_IF_ERROR(content.FindUsers(damaged, [&](Ino ino, ChunkId id, uint64_t offset) {
      report(parts.names->PathOf(ino) + ": uses damaged chunk " + std::to_string(id) +
             " at offset " + std::to_string(offset));
    }));
  }
  result.inodes = parts.names->InodeCount();
  result.files = content.files();
  result.bytes = content.bytes();
  return result;
}

}  // namespace dedupfs
