#include "fs/content/flusher.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/base/thread_pool.h"

namespace dedupfs {
namespace {

constexpr uint64_t kGroupBytes = 96ull << 20;
constexpr size_t kGroupFiles = 2000;
constexpr uint64_t kKickBytes = 64ull << 20;
// What a dirty file costs beside its extents.
constexpr uint64_t kFileOverhead = 1024;
// So many changes, so small on average, are scattered.
constexpr size_t kManyExtents = 1024;
constexpr uint64_t kSmallExtentBytes = 64 << 10;

bool AreScattered(const ExtentMap& extents) {
  return extents.size() >= kManyExtents &&
         extents.dirty_bytes() / extents.size() < kSmallExtentBytes;
}

}  // namespace

Flusher::Flusher(FileTable& table, Committer& committer, ChunkStore& chunks, const Options& options)
    : table_(table), committer_(committer), chunks_(chunks), options_(options) {
  thread_ = std::thread([this] { Work(); });
}

Flusher::~Flusher() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyAll();
  room_.NotifyAll();
  thread_.join();
}

void Flusher::NoteChange(const FilePtr& file) {
  UpdateWeight(*file);
  bool enqueue = false;
  {
    MutexLock lock(file->mutex);
    file->last_change = std::chrono::steady_clock::now();
    if (!file->queued && file->IsDirty() && !file->dropped) enqueue = file->queued = true;
  }
  const bool kick = MostIsUsed() || StreamsAreMany();
  if (!enqueue && !kick) return;
  bool wake = false;
  {
    MutexLock lock(mutex_);
    if (enqueue) dirty_[file->ino] = file;
    wake = (kick && !kicked_) || (enqueue && dirty_.size() == 1);
    kicked_ = kicked_ || kick;
  }
  if (wake) wake_.NotifyOne();
}

void Flusher::UpdateWeight(FileState& file) {
  MutexLock lock(file.mutex);
  const uint64_t now =
      file.IsDirty() && !file.dropped ? file.extents.dirty_bytes() + kFileOverhead : 0;
  const uint64_t before = std::exchange(file.budgeted_bytes, now);
  dirty_bytes_.fetch_add(now - before, std::memory_order_relaxed);
  const uint64_t scattered = AreScattered(file.extents) ? now : 0;
  const uint64_t scattered_before = std::exchange(file.scattered_bytes, scattered);
  if (scattered != scattered_before) {
    scattered_bytes_.fetch_add(scattered - scattered_before, std::memory_order_relaxed);
  }
}

bool Flusher::StreamsAreMany() const {
  const uint64_t dirty = dirty_bytes();
  // The two are not changed at once.
  const uint64_t scattered = std::min(dirty, scattered_bytes_.load(std::memory_order_relaxed));
  return dirty - scattered >= std::min(kKickBytes, options_.budget_bytes / 2);
}

std::optional<Flusher::Take> Flusher::WhatToTake(bool interval_over) const {
  if (MostIsUsed()) return Take::kAll;
  if (StreamsAreMany()) return interval_over ? Take::kAll : Take::kStreamed;
  if (interval_over) return Take::kDue;
  return std::nullopt;  // who kicked came before the commit that made room
}

void Flusher::WaitForRoom() {
  if (dirty_bytes() < options_.budget_bytes) return;
  MutexLock lock(mutex_);
  uint64_t least = UINT64_MAX;
  SteadyTime patience;
  const uint64_t failures = failures_;
  while (!stopping_ && dirty_bytes() >= options_.budget_bytes && failures_ == failures &&
         chunks_.Failure()) {
    // Only progress is worth more waiting: a full disk, or a file that cannot be committed, frees
    // nothing however often it is tried. The writer goes on then, and gets the error itself.
    if (const uint64_t dirty = dirty_bytes(); dirty < least) {
      least = dirty;
      patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
      kicked_ = true;
      wake_.NotifyOne();
    }
    if (!room_.WaitUntil(lock, patience)) break;
  }
}

bool Flusher::MayWait(FileState& file) const {
  MutexLock lock(file.mutex);
  if (file.dropped) return false;
  const SteadyTime now = std::chrono::steady_clock::now();
  if (file.emptied.has_value() && now - *file.emptied < kRewriteTime) return true;
  bool clones = false;
  return !file.attributes_dirty && file.last_change > now - options_.interval &&
         file.extents.BytesAfter(file.logged_sequence, clones) == 0;
}

bool Flusher::IsScattered(FileState& file) {
  MutexLock lock(file.mutex);
  return !file.dropped && AreScattered(file.extents);
}

std::vector<FilePtr> Flusher::TakeDirty(Take take) {
  std::vector<FilePtr> files;
  {
    MutexLock lock(mutex_);
    files.reserve(dirty_.size());
    for (auto& [ino, file] : dirty_) files.push_back(std::move(file));
    dirty_.clear();
  }
  std::vector<FilePtr> later;
  std::erase_if(files, [&](const FilePtr& file) {
    if ((take == Take::kDue && MayWait(*file)) || (take == Take::kStreamed && IsScattered(*file))) {
      later.push_back(file);
      return true;
    }
    MutexLock lock(file->mutex);
    file->queued = false;
    return false;
  });
  MutexLock lock(mutex_);
  for (FilePtr& file : later) dirty_[file->ino] = std::move(file);
  return files;
}

void Flusher::PutBack(const std::vector<FilePtr>& files) {
  for (const FilePtr& file : files) {
    {
      MutexLock lock(file->mutex);
      if (file->queued || file->dropped || !file->IsDirty()) continue;
      file->queued = true;
    }
    MutexLock lock(mutex_);
    dirty_[file->ino] = file;
  }
}

Status Flusher::FlushAll(Durability durability) {
  MutexLock lock(flush_mutex_);
  Status flushed = FlushFiles(TakeDirty(Take::kAll), Durability::kBuffered);
  // Also where a file failed: names and the other files are in the log.
  if (durability == Durability::kSynced) {
    const Status synced = chunks_.SyncLog();
    return flushed ? synced : flushed;
  }
  return flushed;
}

Status Flusher::FlushFiles(std::vector<FilePtr> files, Durability durability) {
  std::sort(files.begin(), files.end(),
            [](const FilePtr& a, const FilePtr& b) { return a->ino < b->ino; });
  Status result;
  size_t at = 0;
  while (at < files.size()) {
    std::vector<FilePtr> group;
    uint64_t bytes = 0;
    while (at < files.size() && group.size() < kGroupFiles && bytes < kGroupBytes) {
      MutexLock lock(files[at]->mutex);
      bytes += files[at]->extents.dirty_bytes();
      group.push_back(std::move(files[at]));
      ++at;
    }
    const Status flushed = FlushGroup(group, durability);
    PutBack(group);
    {
      MutexLock lock(mutex_);
      if (!flushed) ++failures_;
      room_.NotifyAll();
    }
    for (FilePtr& file : group) table_.Release(std::move(file));
    if (!flushed && result) result = flushed;
  }
  return result;
}

bool Flusher::IsOfOneFile(const Error& error) const {
  return (error.code == EIO || error.code == ERANGE) && chunks_.Failure().has_value();
}

Status Flusher::CommitOneByOne(const std::vector<FilePtr>& group, Durability durability) {
  for (const FilePtr& file : group) {
    Status committed = committer_.Commit(std::span(&file, 1), durability);
    if (committed) continue;
    if (!IsOfOneFile(committed.error())) return committed;
    committer_.KeepError(*file, committed.error());
  }
  return Ok();
}

Status Flusher::FlushGroup(const std::vector<FilePtr>& group, Durability durability) {
  for (const FilePtr& file : group) file->flush_mutex.Lock();
  Status flushed = committer_.Commit(group, durability);
  if (!flushed && group.size() > 1 && IsOfOneFile(flushed.error())) {
    flushed = CommitOneByOne(group, durability);
  }
  for (const FilePtr& file : group) {
    file->flush_mutex.Unlock();
    if (!flushed) committer_.KeepError(*file, flushed.error());
    UpdateWeight(*file);
  }
  return flushed;
}

void Flusher::Work() {
  NameThisThread("flusher");
  auto due = std::chrono::steady_clock::now() + options_.interval;
  while (true) {
    bool interval_over = false;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && !kicked_ && !interval_over) {
        interval_over = !wake_.WaitUntil(lock, due);
      }
      if (stopping_) return;
      kicked_ = false;
    }
    interval_over = interval_over || std::chrono::steady_clock::now() >= due;
    {
      MutexLock lock(flush_mutex_);
      if (const std::optional<Take> take = WhatToTake(interval_over)) {
        const Status flushed = FlushFiles(TakeDirty(*take), Durability::kBuffered);
        if (!flushed) LogError("flush_failed", "error=\"" + flushed.error().message + "\"");
      }
    }
    {
      MutexLock lock(mutex_);
      room_.NotifyAll();  // also where nothing was there to commit: the room came by a purge
    }
    if (!interval_over) continue;
    if (const Status synced = chunks_.SyncLog(); !synced && chunks_.Failure()) {
      LogError("log_sync_failed", "error=\"" + synced.error().message + "\"");
    }
    due = std::chrono::steady_clock::now() + options_.interval;
  }
}

}  // namespace dedupfs
