#include "fs/references.h"

#include <algorithm>

namespace dedupfs {

void References::AddLookup(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  ++shard.counts[ino].nlookup;
}

void References::AddOpen(Ino ino) {
  Shard& shard = ShardOf(ino);
  MutexLock lock(shard.mutex);
  ++shard.counts[ino].nopen;
}

bool References::Settle(Shard& shard, Ino ino) {
  const auto found = shard.counts.find(ino);
  if (found == shard.counts.end() || found->second.nlookup > 0 || found->second.nopen > 0) {
    return false;
  }
  const bool orphan = found->second.orphan;
  shard.counts.erase(found);
  return orphan;
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
