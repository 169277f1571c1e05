// Brings a chunk index that is older than the pack files beside it into agreement with them: after
// the database was restored from a backup.
//
// Since the backup, chunks may have moved to newer packs (rewriting), packs may have been removed,
// and new content may have come.
//
// Thread safety: one thread, on a store that nobody else has open.
// Ownership:     borrows `env` and `kv`.
// Durability:    buffered; the caller syncs the log. Can be repeated.
// Errors:        those of the database and of the disk.
// Memory:        bounded by the list of packs and one pack's table of contents.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

struct RestoredPacks {
  uint64_t moved_chunks = 0;    // found in a newer pack, where they lie from now on
  uint64_t missing_chunks = 0;  // in use, and in no pack: condemned, so that no new file uses them
  uint64_t dropped_rows = 0;    // of chunks in no pack that nothing used
  uint64_t unknown_chunks = 0;  // records whose content the index does not know
  uint64_t packs_set_aside = 0;
  ChunkId highest_chunk = 0;  // of any record that was looked at
  PackId highest_pack = 0;    // of any pack file
};

struct RestorePacksHooks {
  // Keeps a pack that holds unknown content, or that no row names, from being lost with its file.
  std::function<Status(PackId)> set_aside;
  std::function<void(uint64_t packs, uint64_t total)> progress;
};

Result<RestoredPacks> RestorePacks(Env& env, Kv& kv, const std::string& directory,
                                   const RestorePacksHooks& hooks);

// The packs in `directory` (ENOENT: none) with how much in each no chunk of the index holds that is
// whole as far as it knows.
struct UnknownContent {
  PackId pack = 0;
  uint64_t chunks = 0;
  uint64_t bytes = 0;       // raw
  bool unreadable = false;  // not all of its records can be listed
};
Status FindUnknownContent(Env& env, Kv& kv, const std::string& directory,
                          const std::function<void(const UnknownContent&)>& found);

// Forgets extra copies whose packs are not in `directory` (ENOENT: all), and those of chunks that
// are gone. Returns the highest pack there, 0 for none.
Result<PackId> RestoreCopies(Env& env, Kv& kv, const std::string& directory);

// Raises the number `name` in Family::kMeta, from which an IdRange goes on, to at least `least`
// and then by `skip`.
Status SkipIds(Kv& kv, const std::string& name, uint64_t least, uint64_t skip);

}  // namespace dedupfs
