// A backup of the metadata of a store, and the way back (docs/format/metadata-backup.md).
//
// A backup is a directory:
//   checkpoint/    the database, as RocksDB copies it
//   metadata.dump  the same rows in a format that needs no RocksDB
//   format         the store's format file
// It holds no content: that stays in the packs, which it names.
//
// Thread safety: one thread; RestoreMetadata has the store to itself (its lock).
// Durability:    what returned OK would survive a power cut.
// Errors:        EIO naming the file for a backup that is damaged; nothing of the store is
//                changed then. EINVAL: a backup of another store. EEXIST: the database opens, and
//                `force` is not set. EBUSY: the store is in use.
// Memory:        bounded.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "chunkstore/restore_packs.h"

namespace dedupfs {

// What is being done, and how far it is.
using BackupProgress =
    std::function<void(std::string_view what, uint64_t done, uint64_t total)>;

// Where FileSystem::Checkpoint is to put the database of a backup in `directory`.
std::string BackupCheckpoint(const std::string& directory);

// Adds the dump and the format file of `store` to a `directory` that has its checkpoint, and syncs
// all of it. Returns the number of rows.
Result<uint64_t> CompleteBackup(const std::string& store, const std::string& directory,
                                const BackupProgress& progress);

struct RestoreOptions {
  bool from_dump = false;  // instead of the checkpoint
  bool force = false;      // although the database of the store opens
};

struct RestoreReport {
  bool only_format = false;  // the database is whole, and was left as it is
  uint64_t rows = 0;
  std::string old_database;  // where it is now; empty: there was none
  std::string set_aside;     // the directory with packs that hold unknown content; empty: none
  RestoredPacks packs;
};

// Puts the database of a backup in the place of the store's. The old one is moved aside. Whatever
// fails or is killed in between, either of them is there, or (between two renames) none and both
// under their other names; it can be repeated. Where the database of the store can be read, and only
// its format file is missing or damaged, that alone comes from the backup (unless forced); EINVAL
// where the database's names are not those of the backup's store.
Result<RestoreReport> RestoreMetadata(const std::string& store, const std::string& backup,
                                      const RestoreOptions& options,
                                      const BackupProgress& progress);

}  // namespace dedupfs
