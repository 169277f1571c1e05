#include "chunkstore/base/env.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"

namespace dedupfs {

Result<std::string> Env::ReadAll(const std::string& path, size_t limit) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, OpenForRead(path));
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size > limit) {
    return Fail(EFBIG, path + ": larger than " + std::to_string(limit) + " bytes");
  }
  std::string content(size, '\0');
  DEDUPFS_ASSIGN_OR_RETURN(const size_t read,
                           file->ReadAt(0, {reinterpret_cast<std::byte*>(content.data()), size}));
  content.resize(read);
  return content;
}

Status Env::ReplaceFile(const std::string& directory, const std::string& name,
                        std::string_view content) {
  const std::string path = directory + "/" + name;
  const std::string beside = path + ".new";
  // What an earlier, interrupted call left behind.
  if (Status removed = Remove(beside); !removed && removed.error().code != ENOENT) return removed;
  DEDUPFS_ASSIGN_OR_RETURN(std::unique_ptr<File> file, Create(beside));
  const std::array<Bytes, 1> pieces{AsBytes(content)};
  DEDUPFS_RETURN_IF_ERROR(file->Append(pieces));
  DEDUPFS_RETURN_IF_ERROR(file->Sync());
  file.reset();
  DEDUPFS_RETURN_IF_ERROR(Rename(beside, path));
  return SyncDir(directory);
}

}  // namespace dedupfs
