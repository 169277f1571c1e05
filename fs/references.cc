#include "fs/references.h"

#include <algorithm>

namespace dedupfs {

bool References::AddLookup(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  Counts& counts = shard.counts[ino];
  if (!counts.purging) ++counts.nlookup;
  return !counts.purging;
}

bool References::AddOpen(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  Counts& counts = shard.counts[ino];
  if (!counts.purging) ++counts.nopen;
  return !counts.purging;
}

bool References::IsHeld(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  const auto found = shard.counts.find(ino);
  return found != shard.counts.end() && !found->second.purging;
}

void References::Purged(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  shard.counts.erase(ino);
}

bool References::Settle(Shard& shard, Ino ino) {
  const auto found = shard.counts.find(ino);
  if (found == shard.counts.end() || found->second.nlookup > 0 || found->second.nopen > 0 ||
      found->second.purging) {
    return false;
  }
  if (found->second.orphan) return found->second.purging = true;
  shard.counts.erase(found);
  return false;
}

bool References::DropLookups(Ino ino, uint64_t count) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  const auto found = shard.counts.find(ino);
  if (found == shard.counts.end()) return false;
  found->second.nlookup -= std::min(found->second.nlookup, count);
  return Settle(shard, ino);
}

bool References::DropOpen(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  const auto found = shard.counts.find(ino);
  if (found == shard.counts.end() || found->second.nopen == 0) return false;
  --found->second.nopen;
  return Settle(shard, ino);
}

bool References::MarkOrphan(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  shard.counts[ino].orphan = true;
  return Settle(shard, ino);
}

}  // namespace dedupfs
