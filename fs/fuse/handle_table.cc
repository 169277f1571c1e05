#include "fs/fuse/handle_table.h"

#include <fcntl.h>

#include <utility>

namespace dedupfs {

bool FileHandle::NoteWritten(size_t bytes) {
  const uint64_t written = written_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (written < tell_at_.load(std::memory_order_relaxed)) return false;
  tell_at_.store(2 * written, std::memory_order_relaxed);
  return true;
}

HandleTable::~HandleTable() {
  MutexLock lock(mutex_);
  for (auto& [number, handle] : handles_) fs_.Release(std::move(handle->file));
}

uint64_t HandleTable::Add(std::unique_ptr<OpenFile> file, Ino ino, int open_flags) {
  auto handle = std::make_unique<FileHandle>();
  handle->file = std::move(file);
  handle->ino = ino;
  handle->for_writing = (open_flags & O_ACCMODE) != O_RDONLY;
  const auto number = reinterpret_cast<uint64_t>(handle.get());
  MutexLock lock(mutex_);
  if (handle->for_writing) ++writers_[ino];
  handles_.emplace(number, std::move(handle));
  return number;
}

void HandleTable::Remove(uint64_t number) {
  std::unique_ptr<FileHandle> handle;
  {
    MutexLock lock(mutex_);
    auto found = handles_.find(number);
    if (found == handles_.end()) return;
    handle = std::move(found->second);
    handles_.erase(found);
    if (handle->for_writing) {
      auto writers = writers_.find(handle->ino);
      if (--writers->second == 0) writers_.erase(writers);
    }
  }
  fs_.Release(std::move(handle->file));
}

bool HandleTable::IsOpenForWriting(Ino ino) {
  MutexLock lock(mutex_);
  return writers_.contains(ino);
}

std::vector<Ino> HandleTable::InodesOpenForWriting() {
  MutexLock lock(mutex_);
  std::vector<Ino> inodes;
  inodes.reserve(writers_.size());
  for (const auto& [ino, count] : writers_) inodes.push_back(ino);
  return inodes;
}

}  // namespace dedupfs
