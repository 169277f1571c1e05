// The name of an entry that a client knows but for its case.
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fs/namespace/case_fold.h"
#include "fs/namespace/folded_names.h"
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
  if (const auto cookies = parts_->folded.Find(directory, wanted)) {
    bool changed = false;
    for (const uint64_t cookie : *cookies) {
      DEDUPFS_ASSIGN_OR_RETURN(auto entry, parts_->dentries.At(directory, cookie));
      if (entry && FoldCase(entry->name) == wanted) return std::optional(std::move(entry->name));
      changed = changed || !entry;
    }
    // An entry that is gone may have been renamed to one that was not remembered yet.
    if (!changed) return std::optional<std::string>();
  }
  auto scan = parts_->folded.Begin(directory);
  bool remember = scan.has_value();
  std::optional<std::string> found;
  const Status listed = List(directory, kDotDotCookie, [&](const DirectoryEntry& entry) {
    const std::string folded = FoldCase(entry.name);
    remember = remember && scan->Add(folded, entry.cookie);
    if (!found && folded == wanted) found = entry.name;
    return remember || !found.has_value();
  });
  if (scan) parts_->folded.End(*scan, remember && listed.has_value());
  DEDUPFS_RETURN_IF_ERROR(listed);
  return found;
}

}  // namespace dedupfs
