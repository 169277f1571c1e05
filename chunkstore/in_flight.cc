#include "chunkstore/in_flight.h"

#include <algorithm>

namespace dedupfs {

// Guarded by InFlight::mutex_, except `fingerprint`, which never changes.
struct InFlight::Entry {
  explicit Entry(const Fingerprint& fp) : fingerprint(fp) {}

  const Fingerprint fingerprint;
  bool claimed = true;
  ChunkId id = 0;
  ChunkRow row;
};

InFlight::ClaimResult InFlight::Claim(const Fingerprint& fingerprint) {
  MutexLock lock(mutex_);
  EntryPtr& slot = by_fingerprint_[fingerprint];
  if (slot && slot->claimed) return {ClaimKind::kOther, slot, 0, 0};
  if (slot && !slot->row.condemned) {
    ++pins_[slot->id];
    return {ClaimKind::kShared, nullptr, slot->id, slot->row.location.pack};
  }
  ChunkId damaged = 0;
  if (slot) {
    damaged = slot->id;
    ++pins_[damaged];
  }
  slot = std::make_shared<Entry>(fingerprint);
  slot->id = damaged;
  return {ClaimKind::kMine, slot, damaged, 0};
}

void InFlight::Release(const EntryPtr& claim) {
  MutexLock lock(mutex_);
  if (!claim->claimed) return;
  claim->claimed = false;
  const auto slot = by_fingerprint_.find(claim->fingerprint);
  if (slot != by_fingerprint_.end() && slot->second == claim) {
    const auto earlier = claim->id == 0 ? by_id_.end() : by_id_.find(claim->id);
    if (earlier == by_id_.end()) {
      by_fingerprint_.erase(slot);
    } else {
      slot->second = earlier->second;
    }
  }
  changed_.NotifyAll();
}

void InFlight::Wait(const EntryPtr& claim) {
  MutexLock lock(mutex_);
  while (claim->claimed) changed_.Wait(lock);
}

uint64_t InFlight::BeginAppend() {
  MutexLock lock(mutex_);
  const uint64_t ticket = next_append_++;
  appends_.insert(ticket);
  return ticket;
}

void InFlight::EndAppend(uint64_t ticket) {
  MutexLock lock(mutex_);
  appends_.erase(ticket);
  changed_.NotifyAll();
}

void InFlight::WaitForAppends() {
  MutexLock lock(mutex_);
  const uint64_t later = next_append_;
  while (!appends_.empty() && *appends_.begin() < later) changed_.Wait(lock);
}

void InFlight::Resolve(std::span<const Resolution> resolutions) {
  MutexLock lock(mutex_);
  for (const Resolution& resolution : resolutions) {
    const EntryPtr& entry = resolution.entry;
    entry->claimed = false;
    entry->id = resolution.id;
    entry->row = resolution.row;
    entry->row.refcount = 0;
    if (!resolution.pinned) ++pins_[resolution.id];
    by_id_[resolution.id] = entry;
    by_fingerprint_[entry->fingerprint] = entry;
  }
  changed_.NotifyAll();
}

void InFlight::Pin(std::span<const ChunkId> ids) {
  MutexLock lock(mutex_);
  while (AnyDroppingLocked(ids)) changed_.Wait(lock);
  for (ChunkId id : ids) ++pins_[id];
}

void InFlight::Unpin(std::span<const ChunkId> ids) {
  MutexLock lock(mutex_);
  for (ChunkId id : ids) {
    const auto pin = pins_.find(id);
    if (pin == pins_.end() || --pin->second > 0) continue;
    pins_.erase(pin);
    ForgetLocked(id);
  }
}

std::optional<ChunkRow> InFlight::Find(ChunkId id) const {
  MutexLock lock(mutex_);
  const auto entry = by_id_.find(id);
  if (entry == by_id_.end()) return std::nullopt;
  return entry->second->row;
}

std::unordered_map<ChunkId, InFlight::Pending> InFlight::Collect(
    std::span<const ChunkId> ids) const {
  std::unordered_map<ChunkId, Pending> pending;
  MutexLock lock(mutex_);
  for (ChunkId id : ids) {
    const auto entry = by_id_.find(id);
    if (entry != by_id_.end()) pending.emplace(id, Pending{entry->second, entry->second->row});
  }
  return pending;
}

void InFlight::MarkCommitted(std::span<const EntryPtr> entries) {
  MutexLock lock(mutex_);
  for (const EntryPtr& entry : entries) {
    // The id may have a newer record meanwhile, which is still to be committed.
    const auto named = by_id_.find(entry->id);
    if (named != by_id_.end() && named->second == entry) ForgetLocked(entry->id);
  }
}

void InFlight::Condemn(ChunkId id, const Location& location) {
  MutexLock lock(mutex_);
  const auto entry = by_id_.find(id);
  if (entry == by_id_.end() || !(entry->second->row.location == location)) return;
  entry->second->row.condemned = true;
}

bool InFlight::BeginDrop(PackId pack, std::span<const ChunkId> ids) {
  MutexLock lock(mutex_);
  const auto held = [this](ChunkId id)
                        REQUIRES(mutex_) { return pins_.count(id) > 0 || dropping_.count(id) > 0; };
  if (std::any_of(ids.begin(), ids.end(), held)) return false;
  for (const auto& [id, entry] : by_id_) {
    if (entry->row.location.pack == pack) return false;
  }
  dropping_.insert(ids.begin(), ids.end());
  return true;
}

void InFlight::EndDrop(std::span<const ChunkId> ids) {
  MutexLock lock(mutex_);
  for (ChunkId id : ids) dropping_.erase(id);
  changed_.NotifyAll();
}

size_t InFlight::pinned() const {
  MutexLock lock(mutex_);
  return pins_.size();
}

size_t InFlight::entries() const {
  MutexLock lock(mutex_);
  return by_fingerprint_.size();
}

void InFlight::ForgetLocked(ChunkId id) {
  const auto entry = by_id_.find(id);
  if (entry == by_id_.end()) return;
  const auto slot = by_fingerprint_.find(entry->second->fingerprint);
  if (slot != by_fingerprint_.end() && slot->second == entry->second) by_fingerprint_.erase(slot);
  by_id_.erase(entry);
}

bool InFlight::AnyDroppingLocked(std::span<const ChunkId> ids) const {
  if (dropping_.empty()) return false;
  return std::any_of(ids.begin(), ids.end(),
                     [this](ChunkId id) REQUIRES(mutex_) { return dropping_.count(id) > 0; });
}

}  // namespace dedupfs
