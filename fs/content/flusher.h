// Commits changed files in the background, and bounds how much may wait in memory.
//
// One thread ("flusher") commits everything dirty every commit interval, and as soon as a share of
// the budget is used; writers wait only where the whole budget is. A file of many small changes is
// left out of the early commits until most of the budget is used: the more of them are chunked at
// once, the more share a chunk. Files whose changes are all in the log already wait until they were
// quiet for an interval. A file that was cut to nothing and is still open waits up to kRewriteTime
// for its new content, as long as there is room.
//
// Thread safety: every public method may be called concurrently, WaitForRoom with no lock held.
// Ownership:     borrows everything given to the constructor.
// Durability:    every interval ends with a synced log, so a change is durable after two at most.
// Units:         bytes are those of ExtentMap::dirty_bytes.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <unordered_map>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "fs/content/committer.h"
#include "fs/content/file_table.h"

namespace dedupfs {

class Flusher {
 public:
  static constexpr std::chrono::seconds kRewriteTime{30};

  struct Options {
    uint64_t budget_bytes = 256ull << 20;
    std::chrono::milliseconds interval{5000};
  };
  Flusher(FileTable& table, Committer& committer, ChunkStore& chunks, const Options& options);
  // Does not commit what is dirty: FlushAll() first.
  ~Flusher();

  // After every change of a file, with no lock held: notes it as dirty, and what its changes weigh.
  void NoteChange(const FilePtr& file);
  // After a change of what is dirty that needs no commit (purge).
  void UpdateWeight(FileState& file);
  // Waits until less than the budget is dirty.
  void WaitForRoom();

  // Commits every dirty file. The first error that concerns the store.
  Status FlushAll(Durability durability);

  uint64_t dirty_bytes() const { return dirty_bytes_.load(std::memory_order_relaxed); }

 private:
  void Work();
  // Commits `files`, whose references are all that keeps them, in groups.
  Status FlushFiles(std::vector<FilePtr> files, Durability durability);
  Status FlushGroup(const std::vector<FilePtr>& group,
                    Durability durability) NO_THREAD_SAFETY_ANALYSIS;
  // An error that a damaged row of one file's chunks may have given to its whole group.
  bool IsOfOneFile(const Error& error) const;
  // After such an error: the others are committed, and the one keeps it.
  Status CommitOneByOne(const std::vector<FilePtr>& group, Durability durability);
  enum class Take : uint8_t {
    kAll,
    // Not files of scattered changes.
    kStreamed,
    // Not files whose changes are in the log and that were not quiet yet, and not those that were
    // emptied a moment ago to be written anew.
    kDue,
  };
  bool MostIsUsed() const { return dirty_bytes() >= options_.budget_bytes / 4 * 3; }
  // A share of the budget is used by files that are worth committing early.
  bool StreamsAreMany() const;
  std::optional<Take> WhatToTake(bool interval_over) const;
  std::vector<FilePtr> TakeDirty(Take take);
  static bool IsScattered(FileState& file);
  bool MayWait(FileState& file) const;
  void PutBack(const std::vector<FilePtr>& files);

  FileTable& table_;
  Committer& committer_;
  ChunkStore& chunks_;
  const Options options_;

  std::atomic<uint64_t> dirty_bytes_{0};
  std::atomic<uint64_t> scattered_bytes_{0};  // of them: in files of scattered changes
  // Held while dirty files are taken and committed, so that FlushAll misses none of the thread's.
  Mutex flush_mutex_;
  Mutex mutex_;
  CondVar wake_;
  CondVar room_;
  std::unordered_map<Ino, FilePtr> dirty_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool kicked_ GUARDED_BY(mutex_) = false;
  uint64_t failures_ GUARDED_BY(mutex_) = 0;  // groups that could not be committed
  std::thread thread_;
};

}  // namespace dedupfs
