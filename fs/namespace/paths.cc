// From an inode back to names, by the hints that its record keeps.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "chunkstore/base/coding.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

constexpr int kMaxDepth = 1 << 16;

// The path, if every name on the way is known.
Result<std::optional<std::string>> KnownPath(NamespaceCore& core, Ino ino) {
  std::string path;
  for (int depth = 0; ino != kRootIno; ++depth) {
    if (depth == kMaxDepth) return std::optional<std::string>();
    DEDUPFS_ASSIGN_OR_RETURN(const auto record, core.Load(ino));
    DEDUPFS_ASSIGN_OR_RETURN(const auto name, core.HintedName(ino, record));
    if (!name) return std::optional<std::string>();
    path.insert(0, "/" + *name);
    ino = record.parent;
  }
  return std::optional<std::string>(path.empty() ? "/" : std::move(path));
}

}  // namespace

std::string Namespace::PathOf(Ino ino) {
  auto path = KnownPath(*parts_, ino);
  if (!path || !*path) return "inode " + std::to_string(ino);
  return **std::move(path);
}

Status Namespace::ForEachNameOf(
    std::span<const Ino> inos,
    const std::function<void(Ino, Ino parent, const std::string& name)>& visit) {
  const auto rows = parts_->kv.Iterate(Family::kDentry, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 2 * sizeof(uint64_t)) continue;  // for check to tell
    const Ino parent = ParseBigU64(rows->key());
    const auto entry =
        ParseDentry(parent, ParseBigU64(rows->key().substr(sizeof(Ino))), rows->value());
    if (entry && std::binary_search(inos.begin(), inos.end(), entry->ino)) {
      visit(entry->ino, parent, entry->name);
    }
  }
  return rows->status();
}

Result<std::string> Namespace::NameOf(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, parts_->Load(ino));
  DEDUPFS_ASSIGN_OR_RETURN(auto name, parts_->HintedName(ino, record));
  return name ? *std::move(name) : std::string();
}

Result<Ino> Namespace::LibraryOf(Ino ino) {
  for (int depth = 0; depth < kMaxDepth && ino != kRootIno; ++depth) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto record, parts_->Load(ino));
    // A top-level directory is its own library; where no way up is known, there is none.
    if (record.parent == 0) return kRootIno;
    if (record.parent == kRootIno) return IsDirectory(record) ? ino : kRootIno;
    ino = record.parent;
  }
  return kRootIno;
}

}  // namespace dedupfs
