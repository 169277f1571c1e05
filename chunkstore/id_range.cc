#include "chunkstore/id_range.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

Result<uint64_t> ReservedEnd(Kv& kv, const std::string& name, uint64_t first) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv.Get(Family::kMeta, name));
  if (!value) return first;
  Decoder in(*value);
  const uint64_t end = in.U64();
  if (!in.AtEnd() || end < first) return Corrupt("reserved range " + name);
  return end;
}

}  // namespace

IdRange::IdRange(Kv& kv, std::string name, uint64_t step, uint64_t first)
    : kv_(kv), name_(std::move(name)), step_(step), first_(first) {}

Result<uint64_t> IdRange::NextMany(uint64_t count) {
  MutexLock lock(mutex_);
  while (true) {
    if (!reserving_ && end_ - next_ >= count) {
      const uint64_t given = next_;
      next_ += count;
      return given;
    }
    if (reserving_) {
      changed_.Wait(lock);
      continue;
    }
    reserving_ = true;
    const uint64_t missing = count - (end_ - next_);
    lock.Unlock();
    const auto end = Reserve(missing);
    lock.Lock();
    reserving_ = false;
    changed_.NotifyAll();
    if (!end) return Fail(end.error());
    const uint64_t reserved = std::max(step_, missing);
    // What was reserved begins where the last range ended: only we reserve under this name.
    if (!loaded_) next_ = *end - reserved;
    loaded_ = true;
    end_ = *end;
  }
}

Result<uint64_t> IdRange::EndOfGiven() { return ReservedEnd(kv_, name_, first_); }

Result<uint64_t> IdRange::Reserve(uint64_t count) {
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t start, ReservedEnd(kv_, name_, first_));
  const uint64_t size = std::max(step_, count);
  if (std::numeric_limits<uint64_t>::max() - start < size) {
    return Fail(ERANGE, "the numbers of " + name_ + " are used up");
  }
  std::string value;
  PutU64(value, start + size);
  Batch batch;
  batch.Put(Family::kMeta, name_, value);
  DEDUPFS_RETURN_IF_ERROR(kv_.Write(batch, Durability::kSynced));
  return start + size;
}

}  // namespace dedupfs
