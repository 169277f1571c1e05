// Repairs a store that no daemon has open: what `dedupfs check` finds is mended, and what cannot be
// mended is named.
//
// Nothing of the store is changed while it works. What can be read of the database goes into a new
// one beside it (`db.repair`), which is made right there: the chunk index from the packs, names,
// counts and recipes from one another. Only then, if it is asked to and if anything differs, the
// two databases change places in one step, and the old one stays as `db.damaged-N`. So a repair
// that is killed at any instant leaves the store as it was, or repaired. Packs are never changed;
// one in which nothing can be read is renamed to `NAME.damaged`, so that it is not taken for
// garbage.
//
// Thread safety: one repair of a store at a time (the store's lock: EBUSY).
// Durability:    the new database is synced before it takes its place.
// Errors:        ENOSPC: no room for a second database; nothing was changed. EIO: the format file
//                cannot be read.
// Memory:        bounded by what chunkstore/index_repair.h, fs/namespace/namespace_repair.h and
//                fs/content/content_repair.h say, and caches of 128 MiB.
// Units:         bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"

namespace dedupfs {

struct RepairHooks {
  // One line for each file, directory or thing of which something is lost for good.
  std::function<void(const std::string& line)> lost;
  // How far the step is; `total` 0: not known.
  std::function<void(const std::string& step, uint64_t done, uint64_t total)> progress;
  // Asked between any two steps, with its name; an error ends the repair there, as a kill would.
  std::function<Status(const std::string& step)> before_step;
};

struct RepairReport {
  // What is (or would be) mended: how many of each kind, and the first of them.
  struct Kind {
    std::string name;
    uint64_t count = 0;
    std::vector<std::string> examples;
  };
  std::vector<Kind> mended;
  uint64_t losses = 0;
  bool database_damaged = false;
  bool applied = false;
  std::string kept;  // the old database, where it was replaced

  bool needed() const { return !mended.empty() || database_damaged; }
};

// `apply` false: only finds out what a repair would do.
Result<RepairReport> RepairStore(const std::string& directory, bool apply,
                                 const RepairHooks& hooks);

}  // namespace dedupfs
