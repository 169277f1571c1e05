// The rows that one commit group changes: applies count changes to chunk rows, and carries each
// change over to the pack rows and the totals.
//
// Thread safety: one thread at a time.
// Ownership:     borrows the Kv.
// Errors:        ERANGE for a change of a chunk that is not there or would fall below zero; EIO for
//                a damaged chunk row. Nothing of such a set of changes is applied.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/in_flight.h"

namespace dedupfs {

// What a batch changes in one pack row and in the totals; derived, so errors saturate and are
// logged.
class SumChanges {
 public:
  void Remove(const ChunkRow& row) { Count(row, -1); }
  void Add(const ChunkRow& row) { Count(row, 1); }
  void ForgetPack(PackId pack) { forgotten_.push_back(pack); }
  // Adds the changed rows to `batch`; returns the packs that have no live chunk now.
  Result<std::vector<PackId>> Put(Kv& kv, Batch& batch) const;

 private:
  struct PackChange {
    int64_t live_bytes = 0, live_chunks = 0, total_chunks = 0, total_stored = 0, live_lz4 = 0;
  };
  struct TotalsChange {
    int64_t logical = 0, unique = 0, stored = 0, chunks = 0, dead_stored = 0, dead_chunks = 0;
  };
  void Count(const ChunkRow& row, int64_t sign);
  std::map<PackId, PackChange> packs_;
  TotalsChange totals_;
  std::vector<PackId> forgotten_;
};

class CountLedger {
 public:
  // Reads the rows of `ids` (each once). `pending` are their uncommitted records, durable by now.
  static Result<CountLedger> Load(Kv& kv, std::span<const ChunkId> ids,
                                  const std::unordered_map<ChunkId, InFlight::Pending>& pending);

  // All of them or, with an error, none.
  Status Apply(std::span<const CountChange> changes);
  // Adds the changed rows to `batch`; returns the packs that have no live chunk now.
  Result<std::vector<PackId>> Put(Batch& batch) const;
  // The condemned chunks that have whole records again.
  std::vector<ChunkId> Healed() const;
  // The chunks whose count was at most so high and is higher now.
  std::vector<ChunkId> RoseAbove(uint64_t count) const;
  // The uncommitted records that Put has written rows for.
  std::vector<InFlight::EntryPtr> Written() const;

 private:
  struct Line {
    std::optional<ChunkRow> before;  // in the database
    std::optional<ChunkRow> after;   // as far as applied
    std::optional<Error> damage;
    InFlight::EntryPtr entry;
    bool touched = false;
  };
  explicit CountLedger(Kv& kv) : kv_(&kv) {}

  Kv* kv_;
  std::map<ChunkId, Line> lines_;
};

}  // namespace dedupfs
