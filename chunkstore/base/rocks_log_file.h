// One file of the write-ahead log, as RocksDB writes it; what it adds: rocks_wal_files.h.
//
// Thread safety: as rocksdb::FSWritableFile; a sync may run beside an append.
// Ownership:     shares its file with the log after it, which syncs it once; the file is closed
//                when the last of the two lets it go.
// Durability:    nothing is written to it before all of the log before it is durable.
// Errors:        of what is written none is told but to WalFailure.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "chunkstore/base/rocks_wal_files.h"

namespace dedupfs {

class LogFile : public rocksdb::FSWritableFile {
 public:
  struct Told {  // of what becomes of this log
    std::shared_ptr<WalFailure> failure;
    std::shared_ptr<LogSynced> synced;
    uint64_t number = 0;
  };

  // `whole` and `file` are of one file: only the first can cut it, only the second can write
  // anywhere. `before`: the file of the log before, where it may not be durable yet; else null.
  LogFile(const rocksdb::FileOptions& options, Told told,
          std::unique_ptr<rocksdb::FSWritableFile> whole,
          std::shared_ptr<rocksdb::FSRandomRWFile> file,
          std::shared_ptr<rocksdb::FSRandomRWFile> before);

  using FSWritableFile::Append;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus Flush(const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus Sync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) override;
  bool IsSyncThreadSafe() const override { return true; }
  uint64_t GetFileSize(const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus Truncate(uint64_t size, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* dbg) override;
  rocksdb::IOStatus Close(const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg) override;

 private:
  rocksdb::IOStatus Write(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* dbg);
  rocksdb::IOStatus Synced(const rocksdb::IOStatus& status, uint64_t size);
  void WriteZeros(uint64_t from, const rocksdb::IOOptions& options, rocksdb::IODebugContext* dbg);

  const std::shared_ptr<WalFailure> failure_;
  const std::shared_ptr<LogSynced> synced_;
  const uint64_t number_;
  const std::unique_ptr<rocksdb::FSWritableFile> whole_;
  std::shared_ptr<rocksdb::FSRandomRWFile> file_;  // null once it is closed
  std::atomic<uint64_t> size_{0};
  std::atomic<uint64_t> syncs_{0};  // since zeros were last thought of
  // Of the one thread that appends at a time.
  std::shared_ptr<rocksdb::FSRandomRWFile> before_;
  uint64_t appended_ = 0;  // bytes, since then
  uint64_t zeros_end_ = 0;
};

}  // namespace dedupfs
