// What Packs holds behind its interface; included by its own source files only.
#pragma once

#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/packs/file_cache.h"
#include "chunkstore/packs/pack_writer.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

// True for the errors that leave a pack but do not break the store.
inline bool IsFull(const Error& error) { return error.code == ENOSPC || error.code == EDQUOT; }

// `mutex` orders appends; it is held across Env::Append, never across a sync. Taken before the
// mutex of the file cache.
struct Packs::State {
  State(Env& env_in, std::string directory_in, NextId next_id_in)
      : env(env_in),
        directory(std::move(directory_in)),
        next_id(std::move(next_id_in)),
        cache(env, directory) {}

  // Where the bytes that count end, and whether a table of contents may follow them.
  struct Extent {
    uint64_t size = 0;
    bool may_be_sealed = true;
  };

  // EROFS once the packs are broken.
  Status CheckUsable() REQUIRES(mutex);
  Status OpenNew() REQUIRES(mutex);
  // Leaves the open pack after an error of its Append or Seal, and passes the error on.
  tl::unexpected<Error> AppendFailed(Error error) REQUIRES(mutex);
  // Leaves the open pack: what follows its end() is void. Its earlier records stay, and stay due
  // for a sync.
  void Abandon() REQUIRES(mutex);
  Status Seal() REQUIRES(mutex);
  void NoteAppended() REQUIRES(mutex);
  void SetSize(PackId pack, uint64_t size) REQUIRES(mutex);
  Status SyncAll(const std::map<PackId, std::shared_ptr<File>>& files, bool names);
  Result<Extent> ExtentOf(PackId pack, File& file) EXCLUDES(mutex);
  Result<Contents> Walk(PackId pack, File& file, Extent extent);

  Env& env;
  const std::string directory;
  const NextId next_id;
  FileCache cache;

  Mutex mutex;
  CondVar synced_changed;
  std::unique_ptr<PackWriter> open GUARDED_BY(mutex);
  std::map<PackId, std::shared_ptr<File>> unsynced GUARDED_BY(mutex);
  bool unsynced_names GUARDED_BY(mutex) = false;
  // Appends and seals so far, and how many of them the last good sync covers.
  uint64_t appended GUARDED_BY(mutex) = 0;
  uint64_t synced GUARDED_BY(mutex) = 0;
  bool syncing GUARDED_BY(mutex) = false;
  // Message of the first error after which nothing may be appended any more.
  std::optional<std::string> broken GUARDED_BY(mutex);
  // Ends of the records of packs that this process left with a void tail.
  std::unordered_map<PackId, uint64_t> void_tails GUARDED_BY(mutex);
  // Sizes of all pack files, from the first TotalBytes() on.
  std::optional<std::unordered_map<PackId, uint64_t>> sizes GUARDED_BY(mutex);
  uint64_t total_bytes GUARDED_BY(mutex) = 0;
};

}  // namespace dedupfs
