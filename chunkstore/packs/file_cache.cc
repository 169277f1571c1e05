#include "chunkstore/packs/file_cache.h"

#include <utility>

namespace dedupfs {

std::shared_ptr<File> FileCache::Find(PackId pack) {
  const auto place = places_.find(pack);
  if (place == places_.end()) return nullptr;
  order_.splice(order_.begin(), order_, place->second);
  return place->second->second;
}

void FileCache::Insert(PackId pack, std::shared_ptr<File> file) {
  if (Find(pack) != nullptr) return;
  order_.emplace_front(pack, std::move(file));
  places_[pack] = order_.begin();
  if (order_.size() > kCapacity) {
    places_.erase(order_.back().first);
    order_.pop_back();
  }
}

Result<std::shared_ptr<File>> FileCache::Get(PackId pack) {
  uint64_t forgotten = 0;
  {
    MutexLock lock(mutex_);
    if (auto file = Find(pack)) return file;
    forgotten = forgotten_;
  }
  DEDUPFS_ASSIGN_OR_RETURN(std::shared_ptr<File> file, env_.OpenForRead(PathOf(pack)));
  MutexLock lock(mutex_);
  // A file removed while it was being opened here must not keep its space on disk for as long as
  // the cache happens to hold it.
  if (forgotten_ == forgotten) Insert(pack, file);
  return file;
}

Result<std::shared_ptr<File>> FileCache::Peek(PackId pack) {
  {
    MutexLock lock(mutex_);
    const auto place = places_.find(pack);
    if (place != places_.end()) return place->second->second;
  }
  DEDUPFS_ASSIGN_OR_RETURN(std::shared_ptr<File> file, env_.OpenForRead(PathOf(pack)));
  return file;
}

void FileCache::Put(PackId pack, std::shared_ptr<File> file) {
  MutexLock lock(mutex_);
  Insert(pack, std::move(file));
}

void FileCache::Forget(PackId pack) {
  MutexLock lock(mutex_);
  ++forgotten_;
  const auto place = places_.find(pack);
  if (place == places_.end()) return;
  order_.erase(place->second);
  places_.erase(place);
}

}  // namespace dedupfs
