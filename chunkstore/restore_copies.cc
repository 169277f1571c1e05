// Extra copies after the database was restored: those that it knows and that are gone are
// forgotten. Packs of copies that it does not know go with the next mount, as all that no row
// names.
#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>
#include <vector>

#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/packs/packs.h"
#include "chunkstore/restore_packs.h"

namespace dedupfs {
namespace {

constexpr size_t kRowsAtOnce = 4096;

}  // namespace

Result<PackId> RestoreCopies(Env& env, Kv& kv, const std::string& directory) {
  const auto names = env.List(directory);
  if (!names && names.error().code != ENOENT) return Fail(names.error());
  std::set<PackId> present;
  if (names) {
    for (const std::string& name : *names) {
      if (const auto pack = ParsePackFileName(name)) present.insert(*pack);
    }
  }
  ChunkId last = 0;
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(kv, last, kRowsAtOnce));
    if (copies.empty()) break;
    last = copies.back().first;
    std::vector<ChunkId> ids;
    ids.reserve(copies.size());
    for (const auto& [id, at] : copies) ids.push_back(id);
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(kv, ids));
    CopyChanges changes;
    for (size_t i = 0; i < copies.size(); ++i) {
      const Location& at = copies[i].second;
      if (rows[i].row && present.count(at.pack) > 0) continue;
      changes.Drop(ids[i], at);
    }
    if (changes.empty()) continue;
    Batch batch;
    DEDUPFS_RETURN_IF_ERROR(changes.AddTo(kv, batch));
    DEDUPFS_RETURN_IF_ERROR(kv.Write(batch, Durability::kBuffered));
  }
  return present.empty() ? PackId{0} : *present.rbegin();
}

}  // namespace dedupfs
