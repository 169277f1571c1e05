// Typed access to the chunk index in the database (format: docs/format/chunk-index.md).
//
// Thread safety: pure functions over a Kv.
// Errors:        those of the Kv. A row that does not parse is damage of that row alone: it comes
// as
//                a Loaded with `damage`, so that one bad row does not stop work on the others.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_row.h"

namespace dedupfs {

template <typename Row>
struct Loaded {
  std::optional<Row> row;       // absent: there is none, or it is damaged
  std::optional<Error> damage;  // why it does not parse
};

// In the order of the keys given.
Result<std::vector<Loaded<ChunkRow>>> LoadChunkRows(Kv& kv, std::span<const ChunkId> ids);
Result<std::vector<Loaded<PackRow>>> LoadPackRows(Kv& kv, std::span<const PackId> packs);
Result<std::vector<Loaded<ChunkId>>> LoadFingerprints(Kv& kv,
                                                      std::span<const Fingerprint> fingerprints);
Result<TotalsRow> LoadTotals(Kv& kv);

}  // namespace dedupfs
