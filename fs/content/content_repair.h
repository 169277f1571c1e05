// Makes content records, recipes and dirty extents right again, in a database that is a copy,
// before it takes the place of the store's.
//
// Bytes of which nobody knows what they were are never given as zeros: the recipe gets entries of
// chunks that are lost, so that reading them is EIO and writing over them heals them.
//
// Thread safety: one thread, on a database that nobody else uses.
// Ownership:     borrows `kv`.
// Memory:        one file's pages at a time, page by page.
// Durability:    the caller's: writes are buffered.
// Errors:        those of the database. Damage is no error: `report` gets the kind and the thing,
//                `harmed` the files of which bytes are lost or may be older.
// Units:         bytes of the file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_row.h"
#include "fs/content/content_record.h"
#include "fs/content/recipe_page.h"

namespace dedupfs {

class ContentRepair {
 public:
  using Report = std::function<void(const std::string& kind, const std::string& what)>;
  using Harmed = std::function<void(Ino ino, const std::string& what)>;

  // `average`: chunk size of files of which the policy is lost.
  ContentRepair(Kv& kv, uint32_t average, Report report, Harmed harmed)
      : kv_(kv), average_(average), report_(std::move(report)), harmed_(std::move(harmed)) {}

  // `next_id`: the first chunk id that was never given; moved on past those that stand for lost
  // bytes.
  Status Run(ChunkId& next_id);
  // The lengths of the chunks that stand for lost bytes.
  const std::map<ChunkId, uint32_t>& lost_raw() const { return lost_raw_; }
  Ino highest() const { return highest_; }
  // Chunks that nothing names now may have been a part of some file.
  bool recipes_lost() const { return recipes_lost_; }

  // The highest chunk id that any recipe names.
  Result<ChunkId> LastChunk();
  // Names each range of a file that uses one of the chunks (ascending ids).
  Status NameUsers(const std::vector<ChunkId>& ids);
  Status ReplaceChunks(const std::unordered_map<ChunkId, ChunkId>& replaced);
  // Makes a file of chunks that no recipe names, one after another.
  Status MakeFile(Ino ino, const std::vector<std::pair<ChunkId, uint32_t>>& chunks);

 private:
  struct File {
    Ino ino = 0;
    ContentRecord record;
    bool has_record = false;
    bool orphaned = false;
    uint64_t end = 0;   // of the entries so far
    uint64_t data = 0;  // bytes in them
    uint64_t lost = 0;  // of these, in entries of lost chunks
    uint64_t pages = 0;
    bool harmed = false;
  };

  Status MendFile(Ino ino, ChunkId& next_id);
  Status DropFile(Ino ino);
  Result<bool> LoadRecord(File& file);
  Status MendPages(File& file, ChunkId& next_id);
  Status FillMissingPages(File& file, ChunkId& next_id);
  void LoseRange(File& file, uint64_t begin, uint64_t end, RecipeEntries& out, ChunkId& next_id);
  Status MendDirty(File& file);
  Status Finish(File& file, const std::string& before);
  Status Put(Family family, const std::string& key, const std::string& value);
  Status Delete(Family family, std::string_view key);

  Kv& kv_;
  const uint32_t average_;
  const Report report_;
  const Harmed harmed_;
  std::map<ChunkId, uint32_t> lost_raw_;
  std::map<uint32_t, ChunkId> lost_by_length_;
  Ino highest_ = 0;
  bool recipes_lost_ = false;
};

}  // namespace dedupfs
