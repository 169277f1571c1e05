// Inode records that were used of late, decoded, so that a path of names costs the database
// nothing.
//
// Each inode has one slot, by its number; two that share a slot drive each other out. The database
// stays the truth: a record is kept only if nobody changed an inode of its slot since it was read.
// Orphans are never kept, so what erases them need not know of the cache.
//
// Thread safety: every method may be called concurrently; changes of one inode are made by one
//                thread at a time (inode locks).
// Ownership:     shares the records with their users.
// Durability:    none.
// Units:         memory is bounded by kSlots records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "fs/namespace/inode_record.h"
#include "fs/types.h"

namespace dedupfs {

class InodeCache {
 public:
  using Value = std::shared_ptr<const InodeRecord>;
  static constexpr size_t kSlots = 32768;

  InodeCache() : slots_(kSlots) {}

  struct Answer {
    Value record;         // null: read it from the database, then Offer it
    uint64_t ticket = 0;  // for Offer
  };
  Answer Find(Ino ino);
  // Keeps what was read from the database after Find gave the ticket, unless that may be outdated.
  void Offer(Ino ino, uint64_t ticket, const InodeRecord& record);

  // Around the write of a changed record. `record`: what was written; null if nothing was.
  void BeginChange(Ino ino);
  void EndChange(Ino ino, const InodeRecord* record);

 private:
  struct Slot {
    Ino ino = 0;
    Value record;
    uint64_t ticket = 0;    // goes up with every change
    uint32_t changing = 0;  // changes that have begun and not ended
  };
  static constexpr size_t kMutexes = 64;

  Slot& SlotOf(Ino ino) { return slots_[ino % kSlots]; }
  Mutex& MutexOf(Ino ino) { return mutexes_[ino % kMutexes]; }

  // A slot is guarded by the mutex of its inodes, which the analysis cannot name.
  std::array<Mutex, kMutexes> mutexes_;
  std::vector<Slot> slots_;
  static_assert(kSlots % kMutexes == 0, "inodes of one slot share a mutex");
};

}  // namespace dedupfs
