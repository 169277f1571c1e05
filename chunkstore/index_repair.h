// Makes the chunk index right again from the packs: chunk rows, fingerprint entries, pack rows,
// totals and the list of condemned chunks (docs/format/chunk-index.md) of a database that is a
// copy, before it takes the place of the store's.
//
// A row stays as it is where the record that it names is whole and has its SHA-256. Else the newest
// such record of the chunk counts. A chunk that recipes name and no record holds keeps a condemned
// row, so that reading it is an error and the next write of its content heals it. One of which only
// an extra copy is whole is condemned, too: the store reads it from there, and heals it.
//
// Cost: reads every pack once, in order. Memory: one batch of records, one line for each pack, a
// few numbers for each chunk that is lost. What the packs hold is kept in a scratch database
// meanwhile.
//
// Thread safety: one thread; it uses the pool.
// Ownership:     borrows everything in Parts.
// Durability:    the caller's: writes are buffered.
// Errors:        those of databases and disk. Damage of packs is no error.
// Units:         bytes.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

class IndexRepair {
 public:
  struct Parts {
    Kv& kv;       // to be mended
    Kv& scratch;  // empty
    Env& env;
    std::string pack_directory;
    ThreadPool& pool;
    // Something that is mended: what kind of thing, and which.
    std::function<void(const std::string& kind, const std::string& what)> report;
    std::function<void(uint64_t bytes_done, uint64_t bytes_total)> progress;  // of ScanPacks
    std::string copy_directory = {};  // of the packs of extra copies; may be missing
  };
  explicit IndexRepair(Parts parts) : parts_(std::move(parts)) {}

  // Reads every record of every pack. First of all.
  Status ScanPacks();
  // Reads every extra copy. After ScanPacks.
  Status ScanCopies();
  // The first chunk after `after` of which an extra copy is whole, and its length.
  Result<std::optional<std::pair<ChunkId, uint32_t>>> NextCopied(ChunkId after);
  ChunkId last_chunk() const { return last_chunk_; }  // the highest id in any pack
  PackId last_pack() const { return last_pack_; }
  // Packs in which nothing can be read.
  const std::vector<PackId>& unreadable_packs() const { return unreadable_packs_; }

  // The reference counts of the recipes, ascending (ChunkStore::CheckHooks). `lost_pack`: an id
  // that no pack has or will have; `lost_raw` the lengths of chunks that stand for lost bytes.
  using NextCount = std::function<Result<std::optional<std::pair<ChunkId, uint64_t>>>()>;
  Status MendChunks(const NextCount& next_count, PackId lost_pack,
                    const std::map<ChunkId, uint32_t>& lost_raw);
  // Chunks that recipes name and nothing can be read of, ascending.
  const std::vector<ChunkId>& lost() const { return lost_; }
  // Two ids of one content: recipes are to name the second instead of the first. The second may be
  // replaced in turn, by one that can be read.
  const std::unordered_map<ChunkId, ChunkId>& replaced() const { return replaced_; }
  bool lost_pack_used() const { return lost_pack_used_; }

  Status MendFingerprints();
  Status MendSums();
  // Rows of extra copies, and their sums. After MendChunks.
  Status MendCopies();

 private:
  struct Candidate {
    ChunkId id = 0;
    ChunkRow row;
    Buffer stored;
    bool right = false;
  };
  struct Final {
    ChunkId id = 0;
    std::optional<ChunkRow> row;  // none: there is to be none
    std::optional<std::string> before;
  };

  Status ScanPack(PackId pack, uint64_t size);
  Status TakeCandidates();
  Result<Final> Decide(ChunkId id, const std::optional<std::string>& before,
                       const std::optional<std::string>& found, uint64_t count);
  Status ScanCopyPack(PackId pack, uint64_t named_chunks);
  Result<std::optional<ChunkRow>> RowByCopy(ChunkId id, const std::optional<ChunkRow>& old);
  Result<std::optional<ChunkRow>> FoundCopy(ChunkId id);  // by ScanCopies
  Result<std::optional<ChunkRow>> WholeCopy(ChunkId id);  // else where the copy row says
  Result<bool> IsRightCopy(ChunkId id, const std::optional<Location>& at);
  Status MendCopySums();
  ChunkRow LostRow(ChunkId id, uint64_t count);
  bool IsReadable(ChunkId id, const ChunkRow& row);
  Status Settle();
  Result<TotalsRow> SumUp(std::map<PackId, PackRow>& packs, std::vector<ChunkId>& condemned);
  Status MendDamageList(const std::vector<ChunkId>& condemned);
  int Standing(ChunkId id, const ChunkRow& row) const;
  Status Merge(Final& later, Final* earlier, ChunkId earlier_id);

  const Parts parts_;
  std::unique_ptr<Packs> packs_;
  std::unique_ptr<Packs> copies_;  // null: no directory of them
  ChunkId last_chunk_ = 0;
  PackId last_pack_ = 0;
  uint64_t bytes_done_ = 0;
  uint64_t bytes_total_ = 0;
  std::vector<PackId> unreadable_packs_;
  std::vector<Candidate> candidates_;
  uint64_t candidate_bytes_ = 0;
  uint64_t right_records_ = 0;  // of the pack at hand
  bool damaged_ = false;        // the pack at hand

  PackId lost_pack_ = 0;
  bool lost_pack_used_ = false;
  const std::map<ChunkId, uint32_t>* lost_raw_ = nullptr;
  std::vector<Final> finals_;
  std::vector<ChunkId> lost_;
  std::vector<ChunkId> only_copied_;  // of which only an extra copy is whole, ascending
  std::unordered_map<ChunkId, ChunkId> replaced_;
};

}  // namespace dedupfs
