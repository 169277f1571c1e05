// Which entries of a directory a name may be but for its case, remembered: an SMB client that makes
// 20,000 files asks as often whether one is there in another case, and each answer "none" would
// take a scan of the directory.
//
// A directory is remembered by the first scan, and kept up to date by what is added to it. What is
// removed stays until it is looked for: who asks reads the entry, and takes it only if it is there
// and has the name.
//
// Memory: kMostEntries entries of at most kMostDirectories directories, about 15 MiB. The directory
// that was not asked for the longest goes first; one that has more entries is not remembered.
//
// Thread safety: every method may be called concurrently.
// Ownership:     a value; keeps the hash function.
// Durability:    does not apply: nothing here is stored.
// Errors:        none.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "fs/namespace/dentry.h"
#include "fs/types.h"

namespace dedupfs {

class FoldedNames {
 public:
  static constexpr size_t kMostEntries = size_t{1} << 18;
  static constexpr size_t kMostDirectories = 1024;

  explicit FoldedNames(NameHash hash, size_t most_entries = kMostEntries)
      : hash_(std::move(hash)), most_entries_(most_entries) {}

  // The cookies of entries that may have this folded name, ascending; every one that has it is
  // among them. Nothing where the directory is not remembered.
  std::optional<std::vector<uint64_t>> Find(Ino directory, std::string_view folded)
      EXCLUDES(mutex_);

  // A scan that is going to be remembered. It has to look at the database after this was made.
  class Scan {
   public:
    // `folded` is that of an entry's name. False: they are too many to be remembered.
    bool Add(std::string_view folded, uint64_t cookie);

   private:
    friend class FoldedNames;
    const FoldedNames* names_ = nullptr;
    Ino directory_ = 0;
    uint64_t number_ = 0;
    std::vector<std::pair<uint64_t, uint64_t>> entries_;  // hash, cookie
    bool too_many_ = false;
  };
  // Nothing where another scan of the directory is under way.
  std::optional<Scan> Begin(Ino directory) EXCLUDES(mutex_);
  // `whole`: it saw every entry that was there when it began; else it is forgotten.
  void End(const Scan& scan, bool whole) EXCLUDES(mutex_);

  // After the batch that makes the entry was written, and before anybody is told of it.
  void Added(Ino directory, std::string_view name, uint64_t cookie) EXCLUDES(mutex_);

 private:
  struct Directory {
    uint64_t scan = 0;  // the number of the scan under way; 0: none is
    uint64_t asked = 0;
    std::unordered_multimap<uint64_t, uint64_t> cookies;  // by hash
  };
  using Directories = std::map<Ino, Directory>;

  void Insert(Directory& directory, uint64_t hash, uint64_t cookie) REQUIRES(mutex_);
  void Forget(Directories::iterator directory) REQUIRES(mutex_);
  // Until the bounds are kept.
  void ForgetTheOldest() REQUIRES(mutex_);

  const NameHash hash_;
  const size_t most_entries_;
  std::atomic<size_t> remembered_{0};  // directories, also those that are being scanned
  Mutex mutex_;
  Directories directories_ GUARDED_BY(mutex_);
  size_t entries_ GUARDED_BY(mutex_) = 0;
  uint64_t clock_ GUARDED_BY(mutex_) = 0;
};

}  // namespace dedupfs
