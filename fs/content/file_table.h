// The files that are open or have changes in memory, by inode number.
//
// Thread safety: every method may be called concurrently.
// Ownership:     shares each FileState with its users; borrows `kv`.
// Errors:        EIO naming the inode for records that cannot be parsed.
#pragma once

#include <unordered_map>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/mutex.h"
#include "fs/content/file_state.h"

namespace dedupfs {

class FileTable {
 public:
  explicit FileTable(Kv& kv) : kv_(kv) {}

  // The state of a regular file, loaded from the database if it is not in memory.
  Result<FilePtr> Get(Ino ino);
  // Only if it is in memory.
  FilePtr Find(Ino ino);
  // Forgets the state if nobody else holds it and nothing of it is dirty.
  void Release(FilePtr file);

 private:
  Status Load(FileState& file);

  Kv& kv_;
  Mutex mutex_;
  std::unordered_map<Ino, FilePtr> files_ GUARDED_BY(mutex_);
};

// Reads a content record; a file without one gives nullopt.
Result<std::optional<ContentRecord>> ReadContentRecord(Kv& kv, Ino ino);

}  // namespace dedupfs
