#include "fs/namespace/inode_cache.h"

#include <utility>

namespace dedupfs {

InodeCache::Answer InodeCache::Find(Ino ino) {
  MutexLock lock(MutexOf(ino));
  const Slot& slot = SlotOf(ino);
  return {slot.ino == ino ? slot.record : nullptr, slot.ticket};
}

void InodeCache::Offer(Ino ino, uint64_t ticket, const InodeRecord& record) {
  if (record.nlink == 0) return;
  Value value = std::make_shared<const InodeRecord>(record);
  MutexLock lock(MutexOf(ino));
  Slot& slot = SlotOf(ino);
  if (slot.ticket != ticket || slot.changing > 0) return;
  slot.ino = ino;
  slot.record.swap(value);
}

void InodeCache::BeginChange(Ino ino) {
  Value old;  // freed after the lock
  MutexLock lock(MutexOf(ino));
  Slot& slot = SlotOf(ino);
  ++slot.ticket;
  ++slot.changing;
  if (slot.ino == ino) old = std::move(slot.record);
}

void InodeCache::EndChange(Ino ino, const InodeRecord* record) {
  Value value;
  if (record != nullptr && record->nlink != 0) value = std::make_shared<const InodeRecord>(*record);
  MutexLock lock(MutexOf(ino));
  Slot& slot = SlotOf(ino);
  ++slot.ticket;
  --slot.changing;
  if (value == nullptr) return;
  slot.ino = ino;
  slot.record.swap(value);
}

}  // namespace dedupfs
