// Who still holds an inode: the kernel (nlookup) and open handles (nopen). An orphan is purged once
// nobody does.
//
// Thread safety: every method may be called concurrently.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include "chunkstore/base/mutex.h"
#include "fs/types.h"

namespace dedupfs {

class References {
 public:
  // False for an inode that is being purged: nobody can come to hold it any more.
  bool AddLookup(Ino ino);
  bool AddOpen(Ino ino);
  // True if that was the last reference to an orphan: the caller purges it, then calls Purged().
  bool DropLookups(Ino ino, uint64_t count);
  bool DropOpen(Ino ino);
  // The inode lost its last name. True if nobody holds it: the caller purges it now.
  bool MarkOrphan(Ino ino);
  // Somebody holds the inode, and it is not being purged.
  bool IsHeld(Ino ino);
  void Purged(Ino ino);

 private:
  struct Counts {
    uint64_t nlookup = 0;
    uint32_t nopen = 0;
    bool orphan = false;
    bool purging = false;
  };
  struct Shard {
    Mutex mutex;
    std::unordered_map<Ino, Counts> counts GUARDED_BY(mutex);
  };
  Shard& ShardOf(Ino ino) { return shards_[ino % shards_.size()]; }
  // Forgets an entry without references, or turns an orphan's over to the purge (true).
  static bool Settle(Shard& shard, Ino ino) REQUIRES(shard.mutex);

  std::array<Shard, 16> shards_;
};

}  // namespace dedupfs
