// Takes what can be read out of a damaged metadata database into a new one, family by family.
//
// A database that opens, and whose every block can be read, is copied, also where all that keeps it
// from opening is CURRENT, and there is one manifest that it can have named. Else tables are linked
// into a scratch directory, where RocksDB makes a database of those that are whole and of the
// write-ahead log. Of a broken table the blocks that can be read are added; where none of that
// tells whether a row is the newest, or was there at all, that is told as a gap.
//
// Thread safety: one salvage of a database at a time.
// Ownership:     nothing below `path` is changed. `target` and `scratch` are the salvage's: what
//                lies there is removed first.
// Durability:    none until the caller syncs the new database.
// Errors:        those of the new database and of the scratch directory (ENOSPC, EIO). Damage of
//                the old one is no error, but is told.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chunkstore/base/kv.h"

namespace dedupfs {

// Rows with keys in [from, to) may be missing, or of an earlier time. Empty `to`: up to the end.
struct SalvageGap {
  std::optional<Family> family;  // none: any of them
  std::string from, to;
  std::string what;
};

struct Salvage {
  std::unique_ptr<Kv> kv;  // the new database
  uint64_t rows = 0;
  bool whole = true;  // the old database is undamaged
  // Which tables there were is not known; the rows are those of all that are there, a gap says so.
  bool tables_unlisted = false;
  std::vector<SalvageGap> gaps;
};

// The name of a family as an operator sees it.
std::string_view FamilyName(Family family);

Result<Salvage> SalvageDatabase(const std::string& path, const std::string& scratch,
                                const std::string& target, const KvOptions& options);

}  // namespace dedupfs
