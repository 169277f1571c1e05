#include "fs/repair_unnamed.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_row.h"
#include "fs/content/content_check.h"

namespace dedupfs {
namespace {

constexpr uint64_t kMaxLostFileBytes = 64 << 20;

using FoundChunk = std::pair<ChunkId, uint32_t>;  // and its length

// Every chunk that something holds, ascending.
class FoundChunks {
 public:
  FoundChunks(Kv& scratch, IndexRepair& index)
      : index_(index), rows_(scratch.Iterate(Family::kChunk, "", "")) {}

  Result<std::optional<FoundChunk>> Next() {
    if (!looked_) DEDUPFS_RETURN_IF_ERROR(NextCopied(0));
    looked_ = true;
    DEDUPFS_RETURN_IF_ERROR(rows_->status());
    const bool in_pack = rows_->Valid();
    const ChunkId id = in_pack ? ParseBigU64(rows_->key()) : 0;
    if (copied_ && (!in_pack || copied_->first < id)) {
      const std::optional<FoundChunk> found = copied_;
      DEDUPFS_RETURN_IF_ERROR(NextCopied(found->first));
      return found;
    }
    if (!in_pack) return std::optional<FoundChunk>();
    DEDUPFS_ASSIGN_OR_RETURN(const ChunkRow row, ParseChunkRow(rows_->value(), id));
    rows_->Next();
    if (copied_ && copied_->first == id) DEDUPFS_RETURN_IF_ERROR(NextCopied(id));
    return std::optional<FoundChunk>({id, row.raw});
  }

 private:
  Status NextCopied(ChunkId after) {
    DEDUPFS_ASSIGN_OR_RETURN(copied_, index_.NextCopied(after));
    return Ok();
  }

  IndexRepair& index_;
  const std::unique_ptr<KvIterator> rows_;
  std::optional<FoundChunk> copied_;
  bool looked_ = false;
};

// Whether nothing named it before, either.
Result<bool> WasDead(const UnnamedParts& parts, ChunkId id) {
  if (!parts.counts_known) return false;
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, parts.kv.Get(Family::kChunk, BigU64(id)));
  if (!value) return false;
  const auto row = ParseChunkRow(*value, id);
  return row && row->refcount == 0;
}

}  // namespace

Status KeepUnnamedChunks(const UnnamedParts& parts) {
  ContentCheck counts(parts.kv, [](Ino, const std::string&) {});
  DEDUPFS_ASSIGN_OR_RETURN(auto named, counts.NextCount());
  std::vector<FoundChunk> chunks;
  uint64_t bytes = 0;
  const auto keep = [&]() -> Status {
    if (chunks.empty()) return Ok();
    const std::string name = "chunks-" + std::to_string(chunks.front().first);
    DEDUPFS_ASSIGN_OR_RETURN(const Ino ino, parts.names.AddLostFile(name));
    DEDUPFS_RETURN_IF_ERROR(parts.content.MakeFile(ino, chunks));
    parts.report("files in lost+found of chunks that no file names", name);
    chunks.clear();
    bytes = 0;
    return Ok();
  };
  FoundChunks all(parts.scratch, parts.index);
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto found, all.Next());
    if (!found) return keep();
    while (named && named->first < found->first) {
      DEDUPFS_ASSIGN_OR_RETURN(named, counts.NextCount());
    }
    if (named && named->first == found->first) continue;
    DEDUPFS_ASSIGN_OR_RETURN(const bool was_dead, WasDead(parts, found->first));
    if (was_dead) continue;
    chunks.push_back(*found);
    bytes += found->second;
    if (bytes >= kMaxLostFileBytes) DEDUPFS_RETURN_IF_ERROR(keep());
  }
}

}  // namespace dedupfs
