// What can be read of one broken table of a database: part of kv_salvage.h, and of its room.
//
// Thread safety: one thread.
// Errors:        those of the new database. What cannot be read is no error, but a gap.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/kv_salvage.h"

namespace dedupfs {

struct BrokenTable {
  std::optional<Family> family;   // none: not known
  std::string smallest, largest;  // keys; empty: not known
  int level = -1;
  bool bottom = false;  // nothing of the family lies deeper
};

std::optional<Family> FamilyOfName(std::string_view name);

// The families of which a table in `directory` deletes rows.
std::set<Family> FamiliesWithDeletions(const std::string& directory);

// Adds the rows of the table to `kv`, counts them in `rows`, and tells what is not there or not
// sure in `gaps`. `deleting`: families of which other tables delete rows.
Status FillFromTable(const std::string& path, const BrokenTable& table,
                     const std::set<Family>& deleting, Kv& kv, uint64_t& rows,
                     std::vector<SalvageGap>& gaps);

}  // namespace dedupfs
