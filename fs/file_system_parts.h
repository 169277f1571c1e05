// What a FileSystem is made of, in the order in which it is built (and, backwards, taken apart).
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "fs/content/files.h"
#include "fs/file_system.h"
#include "fs/namespace/namespace.h"
#include "fs/purger.h"
#include "fs/references.h"
#include "fs/store_directory.h"

namespace dedupfs {

struct FileSystem::Parts {
  MountOptions options;
  Config config;
  std::unique_ptr<StoreDirectory> directory;
  std::unique_ptr<Kv> kv;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<ChunkStore> chunks;
  std::unique_ptr<Namespace> names;
  std::unique_ptr<Files> files;
  References references;
  std::unique_ptr<Purger> purger;

  Mutex space_mutex;
  Space space GUARDED_BY(space_mutex);
  std::optional<SteadyTime> space_time GUARDED_BY(space_mutex);
  bool closed = false;
  std::atomic<bool> stop_long_work{false};

  Mutex work_mutex;
  LongWork work GUARDED_BY(work_mutex);
  void NoteWork(const std::string& what, uint64_t done, uint64_t total) EXCLUDES(work_mutex) {
    const MutexLock lock(work_mutex);
    work = {what, done, total};
  }

  // Opens everything but the threads that change the store.
  Status OpenStore(const std::string& path, const MountOptions& mount_options);
  PolicyHints HintsOf(Ino ino);
  // EROFS where nothing may be changed.
  Status CheckWritable();
  // Fills in what the content knows, and counts a kernel reference.
  Result<Attributes> Remembered(Attributes attributes);
  Result<Attributes> Completed(Attributes attributes);
  void HandleUnlinked(const Unlinked& unlinked);
  Status Purge(Ino ino);
  static tl::unexpected<Error> Gone(Ino ino);
};

}  // namespace dedupfs
