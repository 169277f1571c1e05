// The part of a check that looks at extra copies.
#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rescue.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/store_check.h"

namespace dedupfs {
namespace {

constexpr size_t kRowsAtOnce = 4096;

std::string Problem(const CheckParts& parts, ChunkId id, const Location& at,
                    const Loaded<ChunkRow>& chunk) {
  if (at.pack == 0) return "the row of its extra copy cannot be read";
  // A program that knew no copies dropped the chunk: its copy is forgotten when the store is
  // mounted.
  if (!chunk.row) return {};
  const auto read = ReadProven(*parts.copies, id, *chunk.row, at);
  if (read) return {};
  if (read.error().code == ENOENT) {
    return "its extra copy is missing with pack " + std::to_string(at.pack) + " of copies";
  }
  return "its extra copy: " + read.error().message;
}

}  // namespace

bool HasWholeCopy(const CheckParts& parts, ChunkId id, const ChunkRow& row) {
  if (parts.copies == nullptr) return false;
  const auto copies = LoadCopies(parts.kv, {&id, 1});
  return copies && (*copies)[0] && ReadProven(*parts.copies, id, row, *(*copies)[0]);
}

Status CheckCopies(const CheckParts& parts,
                   const std::function<void(ChunkId, const std::string&)>& report) {
  std::map<PackId, CopySums> real;
  ChunkId last = 0;
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(parts.kv, last, kRowsAtOnce));
    if (copies.empty()) break;
    last = copies.back().first;
    if (parts.copies == nullptr) {
      report(0, "extra copies have rows, but the directory of their packs is missing");
      return Ok();
    }
    std::vector<ChunkId> ids;
    ids.reserve(copies.size());
    for (const auto& [id, at] : copies) {
      ids.push_back(id);
      if (at.pack == 0) continue;
      ++real[at.pack].chunks;
      real[at.pack].stored_bytes += at.stored;
    }
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts.kv, ids));
    std::vector<std::string> problems(copies.size());
    parts.pool.ParallelFor(copies.size(), [&](size_t i) {
      problems[i] = Problem(parts, copies[i].first, copies[i].second, rows[i]);
    });
    for (size_t i = 0; i < copies.size(); ++i) {
      if (!problems[i].empty()) report(ids[i], problems[i]);
    }
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto stored, LoadCopyPacks(parts.kv));
  for (const auto& [pack, sums] : stored) {
    if (sums == real[pack]) continue;
    report(0, "row of pack " + std::to_string(pack) + " of copies: the sums are wrong");
  }
  for (const auto& [pack, sums] : real) {
    if (sums.chunks > 0 && stored.count(pack) == 0) {
      report(0, "pack " + std::to_string(pack) + " of copies has no row");
    }
  }
  return Ok();
}

}  // namespace dedupfs
