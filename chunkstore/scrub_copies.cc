#include "chunkstore/scrub_copies.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"

namespace dedupfs {
namespace {

constexpr size_t kRowsAtOnce = 4096;

struct Line {
  ChunkId id = 0;
  Location at;
  ChunkRow row;
};

// Of chunks that are there, in the order in which the copies lie.
Result<std::vector<Line>> LinesOf(Kv& kv, std::span<const std::pair<ChunkId, Location>> copies) {
  std::vector<ChunkId> ids;
  ids.reserve(copies.size());
  for (const auto& [id, at] : copies) ids.push_back(id);
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(kv, ids));
  std::vector<Line> lines;
  for (size_t i = 0; i < copies.size(); ++i) {
    if (copies[i].second.pack != 0 && rows[i].row) {
      lines.push_back({ids[i], copies[i].second, *rows[i].row});
    }
  }
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    return std::pair(a.at.pack, a.at.offset) < std::pair(b.at.pack, b.at.offset);
  });
  return lines;
}

Status Verify(const ScrubCopiesParts& parts, const Line& line) {
  const auto read = ReadProven(parts.copies, line.id, line.row, line.at);
  if (read) return Ok();
  if (read.error().code != EIO && read.error().code != ENOENT) return Fail(read.error());
  DEDUPFS_ASSIGN_OR_RETURN(const auto now, LoadCopies(parts.kv, {&line.id, 1}));
  if (!(now[0] == line.at)) return Ok();  // made anew elsewhere, or gone with its chunk
  LogError("copy_damaged", "chunk=" + std::to_string(line.id) +
                               " pack=" + std::to_string(line.at.pack) +
                               " offset=" + std::to_string(line.at.offset) + " error=\"" +
                               read.error().message + "\"");
  DEDUPFS_RETURN_IF_ERROR(parts.rescue.DropCopy(line.id, line.at));
  parts.damaged({&line.id, 1});
  return Ok();
}

}  // namespace

Result<bool> ScrubCopies(const ScrubCopiesParts& parts,
                         const std::function<bool(uint64_t bytes)>& go_on) {
  ChunkId last = 0;
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto copies, ListCopies(parts.kv, last, kRowsAtOnce));
    if (copies.empty()) return true;
    last = copies.back().first;
    DEDUPFS_ASSIGN_OR_RETURN(const std::vector<Line> lines, LinesOf(parts.kv, copies));
    PackId dropped = 0;
    for (const Line& line : lines) {
      if (line.at.pack != dropped) {
        dropped = line.at.pack;
        parts.copies.DropCached(dropped);  // what counts is what the disk has
      }
      DEDUPFS_RETURN_IF_ERROR(Verify(parts, line));
      if (!go_on(line.at.stored)) return false;
    }
  }
}

}  // namespace dedupfs
