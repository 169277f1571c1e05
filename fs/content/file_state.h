// What is in memory of one regular file while it is open or has changes that are not committed.
//
// Thread safety: `mutex` guards the fields below it and is held for moments only. `flush_mutex` is held by whoever
//                commits this file's changes, over I/O: at most one commit of a file runs at a time. Order:
//                flush_mutex before mutex; several flush_mutexes are taken only by the flusher, by
//                ascending inode number.
// Ownership:     shared by the FileTable and everybody who works on the file.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/content_record.h"
#include "fs/content/extent_map.h"
#include "fs/content/recipe_page.h"
#include "fs/types.h"

namespace dedupfs {

using SteadyTime = std::chrono::steady_clock::time_point;

struct FileState {
  explicit FileState(Ino number) : ino(number) {}

  const Ino ino;
  Mutex flush_mutex;
  CodecHint codec_hint GUARDED_BY(flush_mutex);

  Mutex mutex;
  // Set once, by the first user, under `mutex`.
  bool loaded GUARDED_BY(mutex) = false;

  // As of the last commit.
  ContentRecord committed GUARDED_BY(mutex);
  bool has_record GUARDED_BY(mutex) = false;  // a content record is in the database

  // As users see it.
  uint64_t size GUARDED_BY(mutex) = 0;
  Time mtime GUARDED_BY(mutex) = 0;
  Time ctime GUARDED_BY(mutex) = 0;
  // Content that had a time was changed out of the kernel's cache, and the kernel has not said when.
  bool times_unknown GUARDED_BY(mutex) = false;
  bool attributes_dirty GUARDED_BY(mutex) = false;  // size or a time differs from `committed`
  ExtentMap extents GUARDED_BY(mutex);

  uint64_t last_sequence GUARDED_BY(mutex) = 0;
  // Extents up to this number are also rows of kDirty; the keys of all such rows.
  uint64_t logged_sequence GUARDED_BY(mutex) = 0;
  std::vector<std::string> logged_keys GUARDED_BY(mutex);
  uint64_t logged_bytes GUARDED_BY(mutex) = 0;

  uint64_t budgeted_bytes GUARDED_BY(mutex) = 0;   // what the dirty budget counts for this file
  uint64_t scattered_bytes GUARDED_BY(mutex) = 0;  // of them: all or nothing
  bool queued GUARDED_BY(mutex) = false;           // in the dirty set
  SteadyTime last_change GUARDED_BY(mutex);
  // When an open file was cut to nothing, to be written anew: the background leaves it alone for a
  // while then, so that a crash does not find it empty.
  std::optional<SteadyTime> emptied GUARDED_BY(mutex);
  bool dropped GUARDED_BY(mutex) = false;  // purged: nothing is to be committed any more

  // The last failed background commit; handles that saw an older number report it once.
  uint64_t error_number GUARDED_BY(mutex) = 0;
  int error_code GUARDED_BY(mutex) = 0;
  std::string error_message GUARDED_BY(mutex);

  uint32_t open_handles GUARDED_BY(mutex) = 0;
  bool may_have_privileges GUARDED_BY(mutex) = true;  // set-id bits or capabilities may be there

  // Pages of the committed recipe that were read lately; valid for `recipe_version`.
  uint64_t recipe_version GUARDED_BY(mutex) = 0;
  std::unordered_map<uint64_t, std::shared_ptr<const RecipeEntries>> pages GUARDED_BY(mutex);

  bool IsDirty() const REQUIRES(mutex) { return attributes_dirty || !extents.empty(); }
};

using FilePtr = std::shared_ptr<FileState>;

}  // namespace dedupfs
