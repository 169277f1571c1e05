// The name of an entry that a client knows but for its case.
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fs/namespace/case_fold.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {

Result<std::optional<std::string>> Namespace::RealName(Ino directory, std::string_view name) {
  if (IsDotName(name)) return std::optional<std::string>(name);
  DEDUPFS_RETURN_IF_ERROR(CheckName(name));
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, parts_->Load(directory));
  if (!IsDirectory(record)) return Fail(ENOTDIR, "inode " + std::to_string(directory));
  DEDUPFS_ASSIGN_OR_RETURN(const auto exact, parts_->dentries.Find(directory, name));
  if (exact) return std::optional<std::string>(name);
  const std::string wanted = FoldCase(name);
  std::optional<std::string> found;
  DEDUPFS_RETURN_IF_ERROR(List(directory, kDotDotCookie, [&](const DirectoryEntry& entry) {
    if (FoldCase(entry.name) == wanted) found = entry.name;
    return !found.has_value();
  }));
  return found;
}

}  // namespace dedupfs
