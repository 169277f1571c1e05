// The pack files that are open for reading: the kCapacity used last.
//
// Thread safety: every method may be called concurrently. No lock is held while a file is opened.
// Ownership:     borrows `env`; a file lives as long as the cache or a reader holds it.
// Errors:        those of Env::OpenForRead (ENOENT: no such pack).
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

class FileCache {
 public:
  static constexpr size_t kCapacity = 128;

  FileCache(Env& env, std::string directory) : env_(env), directory_(std::move(directory)) {}

  // The file of a pack, opened and remembered where it is not yet.
  Result<std::shared_ptr<File>> Get(PackId pack);
  // The same, without a place in the cache for a file that had none (passes over all packs).
  Result<std::shared_ptr<File>> Peek(PackId pack);
  // Remembers a file that is open already.
  void Put(PackId pack, std::shared_ptr<File> file);
  // Forgets a pack whose file is gone.
  void Forget(PackId pack);

  std::string PathOf(PackId pack) const { return directory_ + "/" + PackFileName(pack); }

 private:
  using Order = std::list<std::pair<PackId, std::shared_ptr<File>>>;

  std::shared_ptr<File> Find(PackId pack) REQUIRES(mutex_);
  void Insert(PackId pack, std::shared_ptr<File> file) REQUIRES(mutex_);

  Env& env_;
  const std::string directory_;
  Mutex mutex_;
  Order order_ GUARDED_BY(mutex_);  // used last first
  std::unordered_map<PackId, Order::iterator> places_ GUARDED_BY(mutex_);
  uint64_t forgotten_ GUARDED_BY(mutex_) = 0;
};

}  // namespace dedupfs
