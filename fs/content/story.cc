// The virtual xattrs that tell how a file is kept.
#include <algorithm>
#include <cerrno>
#include <iterator>
#include <unordered_set>

#include "chunkstore/base/coding.h"
#include "fs/content/choose_policy.h"
#include "fs/content/files.h"

namespace dedupfs {
namespace {

struct Sums {
  uint64_t chunks = 0;
  uint64_t stored_bytes = 0;  // each chunk once within a recipe page
  uint64_t unique_bytes = 0;  // of chunks that nothing else refers to
  uint64_t shared_bytes = 0;
  Fingerprint content_id;
};

// The digest of a recipe: a chain of SHA-256 over policy, size and pages. The pages' bounds, the
// cuts and the chunk ids depend on content and policy alone.
void Extend(Fingerprint& digest, std::string_view piece) {
  std::string text(digest.text());
  text += FingerprintOf(AsBytes(piece)).text();
  digest = FingerprintOf(AsBytes(text));
}

Status AddPage(ChunkStore& chunks, const RecipeEntries& entries, Sums& sums) {
  std::vector<ChunkId> ids;
  ids.reserve(entries.size());
  for (const RecipeEntry& entry : entries) ids.push_back(entry.id);
  DEDUPFS_ASSIGN_OR_RETURN(const auto infos, chunks.Lookup(ids));
  std::unordered_set<ChunkId> seen;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (!infos[i].has_value()) {
      return Corrupt("a recipe names chunk " + std::to_string(ids[i]) + ", which is not there");
    }
    ++sums.chunks;
    if (infos[i]->refcount <= 1) {
      sums.unique_bytes += entries[i].length;
    } else {
      sums.shared_bytes += entries[i].length;
    }
    if (seen.insert(ids[i]).second) sums.stored_bytes += infos[i]->location.stored;
  }
  return Ok();
}

}  // namespace

Result<std::string> Files::Story(Ino ino, std::string_view name) {
  static constexpr std::string_view kNames[] = {"content_id",   "stored_bytes", "unique_bytes",
                                                "shared_bytes", "chunks",       "chunking"};
  if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames)) {
    return Fail(ENODATA, "no such virtual xattr");
  }
  DEDUPFS_ASSIGN_OR_RETURN(FilePtr file, table_.Get(ino));
  if (!options_.read_only) {
    DEDUPFS_RETURN_IF_ERROR(Persist(file, Durability::kBuffered, false));
  }
  ContentRecord record;
  {
    MutexLock lock(file->mutex);
    record = file->committed;
  }
  table_.Release(std::move(file));
  if (name == "chunking") return DescribePolicy(record.policy, record.reason);

  Sums sums;
  std::string head;
  if (record.size > 0) {  // an empty file has one content id, whatever its policy is or was
    PutU8(head, static_cast<uint8_t>(record.policy.kind));
    PutU32(head, record.policy.average);
  }
  PutU64(head, record.size);
  Extend(sums.content_id, head);
  const std::string prefix = ContentKey(ino);
  const auto rows = kv_.Iterate(Family::kRecipe, prefix, PrefixEnd(prefix));
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != 16) return Corrupt("recipe row with a key of the wrong length");
    const uint64_t page = RecipePageOfKey(rows->key());
    if (name == "content_id") {
      Extend(sums.content_id, rows->key().substr(8));
      Extend(sums.content_id, rows->value());
      continue;
    }
    DEDUPFS_ASSIGN_OR_RETURN(const RecipeEntries entries,
                             ParseRecipePage(ino, page, rows->value()));
    DEDUPFS_RETURN_IF_ERROR(AddPage(chunks_, entries, sums));
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  if (name == "content_id") return sums.content_id.Hex();
  if (name == "stored_bytes") return std::to_string(sums.stored_bytes);
  if (name == "unique_bytes") return std::to_string(sums.unique_bytes);
  if (name == "shared_bytes") return std::to_string(sums.shared_bytes);
  return std::to_string(sums.chunks);
}

}  // namespace dedupfs
