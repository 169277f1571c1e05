// Listing directories in the order of cookies.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

constexpr size_t kBatchEntries = 128;  // whose inodes one MultiGet reads
constexpr size_t kKeyBytes = 16;

using Visit = std::function<bool(const DirectoryEntry&, const Attributes&)>;

Result<DirectoryEntry> ParseRow(Ino directory, const KvIterator& rows) {
  if (rows.key().size() != kKeyBytes)
    return Corrupt("entry key of inode " + std::to_string(directory));
  const uint64_t cookie = ParseBigU64(rows.key().substr(8));
  DEDUPFS_ASSIGN_OR_RETURN(auto entry, ParseDentry(directory, cookie, rows.value()));
  return DirectoryEntry{std::move(entry.name), entry.ino, entry.type, cookie};
}

// "." and ".." as far as they come after `cookie`.
std::vector<DirectoryEntry> DotEntries(Ino directory, const InodeRecord& record, uint64_t cookie) {
  std::vector<DirectoryEntry> out;
  out.reserve(2);
  if (cookie < kDotCookie) out.push_back({".", directory, S_IFDIR, kDotCookie});
  if (cookie < kDotDotCookie) out.push_back({"..", record.parent, S_IFDIR, kDotDotCookie});
  return out;
}

std::unique_ptr<KvIterator> RowsAfter(NamespaceCore& core, Ino directory, uint64_t cookie) {
  const uint64_t next = cookie == UINT64_MAX ? cookie : cookie + 1;
  return core.kv.Iterate(Family::kDentry, DentryKey(directory, next), PrefixEnd(BigU64(directory)));
}

// False once `visit` wants no more.
Result<bool> VisitBatch(NamespaceCore& core, const std::vector<DirectoryEntry>& entries,
                        const Visit& visit) {
  std::vector<std::string> keys;
  keys.reserve(entries.size());
  for (const DirectoryEntry& entry : entries) keys.push_back(InodeKey(entry.ino));
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  DEDUPFS_ASSIGN_OR_RETURN(const auto values, core.kv.MultiGet(Family::kInode, views));
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!values[i]) continue;
    DEDUPFS_ASSIGN_OR_RETURN(const auto record, ParseInode(entries[i].ino, *values[i]));
    if (!visit(entries[i], ToAttributes(entries[i].ino, record))) return false;
  }
  return true;
}

Result<InodeRecord> LoadListed(NamespaceCore& core, Ino directory) {
  DEDUPFS_ASSIGN_OR_RETURN(auto record, core.Load(directory));
  if (!IsDirectory(record)) return Fail(ENOTDIR, "inode " + std::to_string(directory));
  return record;
}

}  // namespace

Status Namespace::List(Ino directory, uint64_t cookie,
                       const std::function<bool(const DirectoryEntry&)>& visit) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, LoadListed(*parts_, directory));
  for (const DirectoryEntry& entry : DotEntries(directory, record, cookie)) {
    if (!visit(entry)) return Ok();
  }
  const auto rows = RowsAfter(*parts_, directory, cookie);
  for (; rows->Valid(); rows->Next()) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto entry, ParseRow(directory, *rows));
    if (!visit(entry)) return Ok();
  }
  return rows->status();
}

Status Namespace::ListWithAttributes(Ino directory, uint64_t cookie, const Visit& visit) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, LoadListed(*parts_, directory));
  for (const DirectoryEntry& entry : DotEntries(directory, record, cookie)) {
    // The parent of a removed directory may be gone as well: ".." must be there all the same.
    DEDUPFS_ASSIGN_OR_RETURN(const auto found, parts_->Find(entry.ino));
    if (!visit(entry, ToAttributes(entry.ino, found ? *found : record))) return Ok();
  }
  const auto rows = RowsAfter(*parts_, directory, cookie);
  // The first batches are small: most listings of the kernel take one page of entries.
  size_t limit = 16;
  std::vector<DirectoryEntry> entries;
  entries.reserve(kBatchEntries);
  while (rows->Valid()) {
    for (entries.clear(); rows->Valid() && entries.size() < limit; rows->Next()) {
      DEDUPFS_ASSIGN_OR_RETURN(auto entry, ParseRow(directory, *rows));
      entries.push_back(std::move(entry));
    }
    DEDUPFS_ASSIGN_OR_RETURN(const bool more, VisitBatch(*parts_, entries, visit));
    if (!more) return Ok();
    limit = std::min(limit * 2, kBatchEntries);
  }
  return rows->status();
}

}  // namespace dedupfs
