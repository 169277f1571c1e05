// FileSystem::Check: the whole store, read-only.
#include <sys/stat.h>

#include <unordered_set>

#include "chunkstore/base/env.h"
#include "chunkstore/restore_packs.h"
#include "fs/content/content_check.h"
#include "fs/file_system.h"
#include "fs/file_system_parts.h"

namespace dedupfs {
namespace {

constexpr size_t kNamedChunks = 100'000;  // of damaged chunks whose files are looked for

// No damage: the files are not in this database, and their content is kept.
Status TellUnknownContent(Kv& kv, const std::string& directory,
                          const std::function<void(const std::string&)>& report) {
  return FindUnknownContent(PosixEnv(), kv, directory, [&](const UnknownContent& unknown) {
    std::string line = directory;
    line.append("/").append(PackFileName(unknown.pack)).append(": ");
    if (unknown.chunks == 0 && unknown.unreadable) {
      line +=
          "damaged, and kept since it may hold what is nowhere else; dedupfs-unpack reads the "
          "rest";
    } else if (unknown.chunks == 0) {
      line += "all that is in it is in the store as well: it can be removed";
    } else {
      line += std::to_string(unknown.chunks) + " chunks (" + std::to_string(unknown.bytes) +
              " bytes) written after the backup that the database was restored from; "
              "dedupfs-unpack reads them";
    }
    report(line);
  });
}

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
  DEDUPFS_RETURN_IF_ERROR(
      TellUnknownContent(*parts.kv, parts.directory->packs_after_backup(), report));
  result.inodes = parts.names->InodeCount();
  result.files = content.files();
  result.bytes = content.bytes();
  return result;
}

}  // namespace dedupfs
