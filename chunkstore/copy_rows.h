// The rows of extra copies: where the second record of a chunk lies, and what lies in each pack of
// copies (format: docs/format/chunk-index.md).
//
// A row that does not parse counts as none, and is put anew. One whose chunk is condemned may name
// the only whole record of it, and is kept until the chunk is healed or gone.
//
// Thread safety: pure functions over a Kv; values. Rows are changed by the leader of a commit group
//                only, one at a time.
// Errors:        those of the Kv.
// Units:         bytes; stored lengths are without record headers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

inline constexpr size_t kCopyRowSize = 21;
inline constexpr size_t kCopyPackRowSize = 17;
inline constexpr std::string_view kCopyPrefix = "copy/";
inline constexpr std::string_view kCopyPackPrefix = "copy_pack/";

// Sums over the copy rows that name one pack of copies.
struct CopySums {
  uint64_t chunks = 0;
  uint64_t stored_bytes = 0;

  bool operator==(const CopySums&) const = default;
};

std::string CopyKey(ChunkId id);
std::string CopyPackKey(PackId pack);
std::string EncodeCopyRow(const Location& location);
std::optional<Location> ParseCopyRow(std::string_view value);
std::string EncodeCopySums(const CopySums& sums);
std::optional<CopySums> ParseCopySums(std::string_view value);

// In the order of the ids.
Result<std::vector<std::optional<Location>>> LoadCopies(Kv& kv, std::span<const ChunkId> ids);
// At most `limit` copies of chunks with ids greater than `after`, ascending. A row that does not
// parse has a location of zeros.
Result<std::vector<std::pair<ChunkId, Location>>> ListCopies(Kv& kv, ChunkId after, size_t limit);
// One line for each pack that copies lie in, or have lain in until its file is removed.
Result<std::map<PackId, CopySums>> LoadCopyPacks(Kv& kv);
Result<CopySums> SumCopies(Kv& kv);

// Changes of copy rows, with the sums that follow from them.
class CopyChanges {
 public:
  // `before`: the row as it is in the database.
  void Put(ChunkId id, const std::optional<Location>& before, const Location& after);
  void Drop(ChunkId id, const std::optional<Location>& before);
  bool empty() const { return rows_.empty(); }
  Status AddTo(Kv& kv, Batch& batch) const;

 private:
  struct Change {
    int64_t chunks = 0, stored_bytes = 0;
  };
  void Count(const Location& location, int64_t sign);
  Batch rows_;
  std::map<PackId, Change> packs_;
};

// Adds to `batch` that the copies of the chunks go. Costs next to nothing where there are none.
Status DropCopiesOf(Kv& kv, std::span<const ChunkId> ids, Batch& batch);

}  // namespace dedupfs
