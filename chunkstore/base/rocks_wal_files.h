// The files of the database, for RocksDB. Those of the write-ahead log: zeros are written ahead of
// the log's end, so that a sync of a small batch finds the size and the blocks of the file
// unchanged and needs no transaction of the file system below. All other files go straight to the
// one below.
//
// Order:         no byte goes into a log before its name and all of the log before it are durable:
//                what survives of several logs is a prefix, too, also where nothing of them was
//                synced. CURRENT gets its name after all older names of the directory are durable:
//                RocksDB 7.8 syncs the directory once for it and for the manifest that it names,
//                which is right only where a directory's changes become durable in order.
// Reading:       a power cut may leave zeros, and behind them pieces that were never synced.
//                RocksDB skips zeros, so a log is shown to it as if it ended at the first record
//                header of zeros: what is recovered stays a prefix. Where a record cannot be read
//                that surely was durable (rocks_log_check.h), the log is damaged, and not opened.
// Failing:       RocksDB 7.8 as Debian builds it ends the process by an assertion where one thread
//                meets a log whose write has failed for another. So it never learns of a failure:
//                the first is kept in WalFailure, nothing is written to a log from then on, and no
//                file and no change of the manifest may follow, so that no table holds what the
//                log has lost. Who writes to the database asks WalFailure before it believes a
//                success.
// Thread safety: as rocksdb::FileSystem. Of one log, a sync may run beside an append.
// Ownership:     shares the file system below, and each log with the one after it.
// Durability:    that of the file system below. Zeros are written only while syncs are frequent.
// Errors:        those of the file system below. Zeros that cannot be written are done without.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <string>

#include "chunkstore/base/mutex.h"
#include "chunkstore/base/rocks_log_check.h"

namespace dedupfs {

// Thread safety: every method may be called concurrently.
class WalFailure {
 public:
  bool Failed() const { return failed_.load(); }
  // OK while nothing has failed.
  rocksdb::IOStatus First() const EXCLUDES(mutex_);
  void Set(const rocksdb::IOStatus& status) EXCLUDES(mutex_);
  // Makes the call, unless one has failed, and keeps its failure; RocksDB is told that all is well.
  template <typename Call>
  rocksdb::IOStatus Quietly(const Call& call) {
    if (Failed()) return rocksdb::IOStatus::OK();
    const rocksdb::IOStatus status = call();
    if (!status.ok()) Set(status);
    return rocksdb::IOStatus::OK();
  }

 private:
  std::atomic<bool> failed_{false};
  mutable Mutex mutex_;
  rocksdb::IOStatus first_ GUARDED_BY(mutex_);
};

// How far the newest log is durable.
//
// Thread safety: every method may be called concurrently.
class LogSynced {
 public:
  LogPosition Get() const EXCLUDES(mutex_);
  // Of a log before the newest one: nothing.
  void Note(const LogPosition& synced) EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  LogPosition position_ GUARDED_BY(mutex_);
};

// What was found when the logs were read for replay.
//
// Thread safety: of the one thread that opens the database; `replayed` may be read by any.
struct LogFindings {
  bool refuse = true;                 // a damaged log is not opened
  std::atomic<bool> replayed{false};  // from then on a log that is read may be one in use
  std::string damage;                 // of the first damaged one; empty: none is
};

struct WalFiles {
  std::shared_ptr<rocksdb::FileSystem> files;
  std::shared_ptr<const WalFailure> failure;
  std::shared_ptr<const LogSynced> synced;
  std::shared_ptr<LogFindings> findings;
};
class LogReplay;

// For the logs in `directory`; a copy of a log elsewhere (a checkpoint) is a file as any other.
// `replay`, if there is one, is told what is read of the logs, until its end.
WalFiles NewWalFiles(const std::shared_ptr<rocksdb::FileSystem>& below,
                     const std::string& directory, std::shared_ptr<LogReplay> replay = nullptr);

}  // namespace dedupfs
