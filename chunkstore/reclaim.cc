#include "chunkstore/reclaim.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <string>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_table.h"

namespace dedupfs {
namespace {

// A pack that could not go (pinned, or still open) is tried again after so long.
constexpr std::chrono::seconds kTryAgainAfter{5};

std::string PackText(PackId pack) { return "pack=" + std::to_string(pack); }

}  // namespace

Reclaimer::Turn::Turn(Reclaimer& reclaim) : reclaim_(reclaim) {
  MutexLock lock(reclaim_.mutex_);
  while (reclaim_.passing_) reclaim_.changed_.Wait(lock);
  reclaim_.passing_ = true;
}

Reclaimer::Turn::~Turn() {
  MutexLock lock(reclaim_.mutex_);
  reclaim_.passing_ = false;
  reclaim_.changed_.NotifyAll();
}

void Reclaimer::Start() {
  thread_ = std::thread([this] {
    try {
      Work();
    } catch (const std::exception& error) {
      LogError("reclaim_thread_ended", error.what());
    }
  });
}

void Reclaimer::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Reclaimer::Suspect(PackId pack) {
  MutexLock lock(mutex_);
  suspects_.insert(pack);
  news_ = true;
  changed_.NotifyAll();
}

Result<uint64_t> Reclaimer::Everything(const WorkProgress& progress) {
  const Turn turn(*this);
  return Pass(true, progress);
}

Result<uint64_t> Reclaimer::DropIfDead(PackId pack) {
  const Turn turn(*this);
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadPackRows(parts_.kv, {&pack, 1}));
  if (!rows[0].row || rows[0].row->live_chunks > 0) return uint64_t{0};
  return DropPack(pack);
}

void Reclaimer::Work() {
  NameThisThread("reclaim");
  {
    const Turn turn(*this);
    const auto freed = Pass(false);
    if (!freed) LogWarn("reclaim_failed", freed.error().message);
  }
  MutexLock lock(mutex_);
  while (!stopping_) {
    if (suspects_.empty()) {
      changed_.Wait(lock);
      continue;
    }
    const auto again = std::chrono::steady_clock::now() + kTryAgainAfter;
    while (!stopping_ && !news_ && changed_.WaitUntil(lock, again)) {
    }
    if (stopping_) return;
    news_ = false;
    const std::set<PackId> suspects = suspects_;
    lock.Unlock();
    TrySuspects(suspects);
    lock.Lock();
  }
}

void Reclaimer::TrySuspects(const std::set<PackId>& suspects) {
  const Turn turn(*this);
  for (PackId pack : suspects) {
    if (parts_.packs.IsOpen(pack)) continue;
    const auto rows = LoadPackRows(parts_.kv, {&pack, 1});
    if (!rows) continue;
    const bool dead = (*rows)[0].row && (*rows)[0].row->live_chunks == 0;
    bool settled = !dead;
    if (dead) {
      const auto freed = DropPack(pack);
      if (!freed) LogWarn("reclaim_failed", PackText(pack) + " " + freed.error().message);
      settled = !freed || *freed > 0;
    }
    MutexLock lock(mutex_);
    if (settled && !news_) suspects_.erase(pack);
    if (stopping_) return;
  }
}

Result<uint64_t> Reclaimer::Pass(bool seal_open, const WorkProgress& progress) {
  DEDUPFS_RETURN_IF_ERROR(parts_.failure.Check());
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<PackId> files, parts_.packs.All());
  std::vector<PackId> dead;
  std::vector<PackId> named;
  {
    const auto rows = parts_.kv.Iterate(Family::kPack, "", "");
    for (; rows->Valid(); rows->Next()) {
      if (rows->key().size() != sizeof(PackId)) return Corrupt("a key of the pack rows");
      const PackId pack = ParseBigU64(rows->key());
      DEDUPFS_ASSIGN_OR_RETURN(const PackRow row, ParsePackRow(rows->value(), pack));
      named.push_back(pack);
      if (row.live_chunks == 0) dead.push_back(pack);
    }
    DEDUPFS_RETURN_IF_ERROR(rows->status());
  }
  for (PackId pack : files) {
    if (!std::binary_search(named.begin(), named.end(), pack)) dead.push_back(pack);
  }
  uint64_t freed_bytes = 0;
  uint64_t done = 0;
  for (PackId pack : dead) {
    if (progress) progress(done++, dead.size());
    {
      MutexLock lock(mutex_);
      if (stopping_) break;
    }
    if (seal_open && parts_.packs.IsOpen(pack)) {
      const Status sealed = parts_.packs.SealOpen();
      if (!sealed) parts_.failure.SetUnlessFull(sealed.error());
      DEDUPFS_RETURN_IF_ERROR(sealed);
    }
    const auto freed = DropPack(pack);
    if (freed) {
      freed_bytes += *freed;
    } else {
      LogWarn("reclaim_failed", PackText(pack) + " " + freed.error().message);
    }
  }
  return freed_bytes;
}

Result<uint64_t> Reclaimer::DropPack(PackId pack) {
  // In this order: to a pack that is not open nothing is appended any more but by who has begun.
  if (parts_.packs.IsOpen(pack)) return uint64_t{0};
  parts_.in_flight.WaitForAppends();
  DEDUPFS_ASSIGN_OR_RETURN(std::vector<ChunkId> ids, ListedIds(pack));
  DEDUPFS_ASSIGN_OR_RETURN(DropOutcome outcome, DropRows(pack, ids));
  if (outcome == DropOutcome::kUnaccounted) {
    DEDUPFS_ASSIGN_OR_RETURN(ids, IdsByRows(pack));
    DEDUPFS_ASSIGN_OR_RETURN(outcome, DropRows(pack, ids));
    if (outcome == DropOutcome::kUnaccounted) {
      return Corrupt("the row of pack " + std::to_string(pack) + " does not count its chunks");
    }
  }
  if (outcome != DropOutcome::kDropped) return uint64_t{0};
  parts_.locality.Evict(pack);
  parts_.cache.Evict(ids);
  const auto size = parts_.packs.FileSize(pack);
  const Status removed = parts_.packs.Remove(pack);
  if (!removed && removed.error().code != ENOENT) return Fail(removed.error());
  if (!removed || !size) return uint64_t{0};
  LogInfo("pack_removed", PackText(pack) + " bytes=" + std::to_string(*size));
  return *size;
}

Result<DropOutcome> Reclaimer::DropRows(PackId pack, std::span<const ChunkId> ids) {
  if (!parts_.in_flight.BeginDrop(pack, ids)) return DropOutcome::kLive;
  auto outcome = parts_.commits.Drop(pack, ids);
  parts_.in_flight.EndDrop(ids);
  return outcome;
}

Result<std::vector<ChunkId>> Reclaimer::ListedIds(PackId pack) {
  std::vector<ChunkId> ids;
  const auto contents = parts_.packs.List(pack);
  if (!contents || contents->damaged) return IdsByRows(pack);
  ids.reserve(contents->entries.size());
  for (const PackEntry& entry : contents->entries) ids.push_back(entry.header.id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Result<std::vector<ChunkId>> Reclaimer::IdsByRows(PackId pack) {
  std::vector<ChunkId> ids;
  const auto rows = parts_.kv.Iterate(Family::kChunk, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != sizeof(ChunkId)) return Corrupt("a key of the chunk rows");
    const ChunkId id = ParseBigU64(rows->key());
    DEDUPFS_ASSIGN_OR_RETURN(const ChunkRow row, ParseChunkRow(rows->value(), id));
    if (row.location.pack == pack) ids.push_back(id);
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return ids;
}

}  // namespace dedupfs
