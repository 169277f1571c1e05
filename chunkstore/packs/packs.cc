#include "chunkstore/packs/packs.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/chunking/chunker.h"
#include "chunkstore/packs/pack_reader.h"
#include "chunkstore/packs/packs_state.h"

namespace dedupfs {
namespace {

std::string Name(const Location& location, ChunkId id) {
  return "pack " + std::to_string(location.pack) + " offset " + std::to_string(location.offset) +
         " chunk " + std::to_string(id);
}

}  // namespace

Packs::Packs(Env& env, std::string directory, NextId next_id)
    : state_(std::make_unique<State>(env, std::move(directory), std::move(next_id))) {}

Packs::~Packs() = default;

Result<std::unique_ptr<Packs>> Packs::Open(Env& env, std::string directory, NextId next_id) {
  DEDUPFS_RETURN_IF_ERROR(env.List(directory));
  return std::unique_ptr<Packs>(new Packs(env, std::move(directory), std::move(next_id)));
}

Result<std::vector<Location>> Packs::Append(std::span<const RecordInput> records) {
  if (records.empty()) return std::vector<Location>();
  DEDUPFS_RETURN_IF_ERROR(PackWriter::Check(records));
  State& s = *state_;
  MutexLock lock(s.mutex);
  DEDUPFS_RETURN_IF_ERROR(s.CheckUsable());
  if (!s.open) DEDUPFS_RETURN_IF_ERROR(s.OpenNew());
  auto locations = s.open->Append(records);
  if (!locations) return s.AppendFailed(std::move(locations.error()));
  s.NoteAppended();
  if (s.open->end() < kPackTargetBytes) return locations;
  const PackId id = s.open->id();
  if (const Status sealed = s.Seal(); !sealed) {
    // The batch itself is whole; a pack does without its table of contents.
    if (!IsFull(sealed.error())) return Fail(sealed.error());
    LogWarn("pack_left_unsealed", "id=" + std::to_string(id));
  }
  return locations;
}

// One thread syncs for all that wait. They may not sync a file side by side: the kernel reports a
// failed write-back to one fsync of a descriptor only, and the other would take its OK for good.
Status Packs::Sync() {
  State& s = *state_;
  MutexLock lock(s.mutex);
  const uint64_t target = s.appended;
  while (s.syncing && s.synced < target && !s.broken) s.synced_changed.Wait(lock);
  DEDUPFS_RETURN_IF_ERROR(s.CheckUsable());
  if (s.synced >= target) return Ok();

  s.syncing = true;
  const uint64_t covered = s.appended;
  const auto files = std::exchange(s.unsynced, {});
  const bool names = std::exchange(s.unsynced_names, false);
  lock.Unlock();
  Status status = s.SyncAll(files, names);
  lock.Lock();
  s.syncing = false;
  if (status) {
    s.synced = covered;
  } else if (!s.broken) {
    s.broken = status.error().message;
  }
  s.synced_changed.NotifyAll();
  return status;
}

Result<Packs::Record> Packs::Read(const Location& location, ChunkId id, Buffer& scratch) {
  if (location.offset < kPackHeaderSize || location.stored == 0 ||
      location.stored > kLargestChunk || location.offset > uint64_t{INT64_MAX} - (1 << 30)) {
    return Corrupt(Name(location, id) + ": no place for a record");
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, state_->cache.Get(location.pack));
  scratch.resize(kRecordHeaderSize + location.stored);
  const auto count = file->ReadAt(location.offset, scratch);
  if (!count) {
    return Fail(count.error().code, Name(location, id) + ": " + count.error().message);
  }
  if (*count < scratch.size()) return Corrupt(Name(location, id) + ": record is cut short");
  const auto header = ParseRecordHeader(AsText(scratch));
  if (!header) return Corrupt(Name(location, id) + ": " + header.error().message);
  if (header->id != id || header->stored != location.stored) {
    return Corrupt(Name(location, id) + ": record of chunk " + std::to_string(header->id) +
                   ", stored length " + std::to_string(header->stored));
  }
  if (const Status status = VerifyRecord(scratch); !status) {
    return Corrupt(Name(location, id) + ": " + status.error().message);
  }
  return Record{*header, Bytes(scratch).subspan(kRecordHeaderSize)};
}

Result<Packs::Contents> Packs::List(PackId pack) {
  State& s = *state_;
  {
    MutexLock lock(s.mutex);
    if (s.open && s.open->id() == pack) return Contents{s.open->entries(), false, std::nullopt};
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, s.cache.Peek(pack));
  DEDUPFS_ASSIGN_OR_RETURN(const State::Extent extent, s.ExtentOf(pack, *file));
  if (extent.may_be_sealed) {
    PackReader reader(*file, pack, extent.size);
    std::string damage;
    DEDUPFS_ASSIGN_OR_RETURN(auto toc, reader.ReadToc(damage));
    if (toc) return Contents{std::move(toc->entries), true, std::nullopt};
  }
  return s.Walk(pack, *file, extent);
}

Result<Packs::Contents> Packs::Scan(PackId pack) {
  State& s = *state_;
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, s.cache.Peek(pack));
  DEDUPFS_ASSIGN_OR_RETURN(const State::Extent extent, s.ExtentOf(pack, *file));
  return s.Walk(pack, *file, extent);
}

Status Packs::SealOpen() {
  State& s = *state_;
  MutexLock lock(s.mutex);
  DEDUPFS_RETURN_IF_ERROR(s.CheckUsable());
  if (!s.open) return Ok();
  return s.Seal();
}

Result<std::vector<PackId>> Packs::All() {
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                           state_->env.List(state_->directory));
  std::vector<PackId> ids;
  ids.reserve(names.size());
  for (const std::string& name : names) {
    if (const auto id = ParsePackFileName(name)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<uint64_t> Packs::FileSize(PackId pack) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, state_->cache.Peek(pack));
  return file->Size();
}

void Packs::DropCached(PackId pack) {
  if (const auto file = state_->cache.Peek(pack)) (*file)->DropCached();
}

bool Packs::IsOpen(PackId pack) const {
  State& s = *state_;
  MutexLock lock(s.mutex);
  return s.open && s.open->id() == pack;
}

Status Packs::Remove(PackId pack) {
  State& s = *state_;
  MutexLock lock(s.mutex);
  if (s.open && s.open->id() == pack) {
    return Fail(EBUSY, "pack " + std::to_string(pack) + " is open");
  }
  DEDUPFS_RETURN_IF_ERROR(s.env.Remove(s.cache.PathOf(pack)));
  s.cache.Forget(pack);
  s.unsynced.erase(pack);
  s.void_tails.erase(pack);
  s.SetSize(pack, 0);
  if (s.sizes) s.sizes->erase(pack);
  return Ok();
}

Result<uint64_t> Packs::TotalBytes() {
  State& s = *state_;
  MutexLock lock(s.mutex);
  if (s.sizes) return s.total_bytes;
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<PackId> ids, All());
  std::unordered_map<PackId, uint64_t> sizes;
  uint64_t total = 0;
  for (const PackId id : ids) {
    DEDUPFS_ASSIGN_OR_RETURN(const uint64_t size, FileSize(id));
    sizes[id] = size;
    total += size;
  }
  s.sizes = std::move(sizes);
  s.total_bytes = total;
  return total;
}

}  // namespace dedupfs
