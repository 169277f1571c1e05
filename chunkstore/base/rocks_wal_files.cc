#include "chunkstore/base/rocks_wal_files.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunkstore/base/rocks_info_log.h"
#include "chunkstore/base/rocks_log_file.h"
#include "chunkstore/base/rocks_log_replay.h"

namespace dedupfs {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr std::string_view kSuffix = ".log";
constexpr std::string_view kCurrent = "/CURRENT";

// A table or a manifest: not written to any more once a log has failed.
class FileAfterLog : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FileAfterLog(std::shared_ptr<const WalFailure> failure,
               std::unique_ptr<rocksdb::FSWritableFile> below)
      : FSWritableFileOwnerWrapper(std::move(below)), failure_(std::move(failure)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    if (failure_->Failed()) return failure_->First();
    return target()->Append(data, options, dbg);
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& checksum, IODebugContext* dbg) override {
    if (failure_->Failed()) return failure_->First();
    return target()->Append(data, options, checksum, dbg);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    if (failure_->Failed()) return failure_->First();
    return target()->Sync(options, dbg);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    if (failure_->Failed()) return failure_->First();
    return target()->Fsync(options, dbg);
  }

 private:
  const std::shared_ptr<const WalFailure> failure_;
};

// A file that ends earlier than the one below.
class ShorterFile : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  ShorterFile(std::unique_ptr<rocksdb::FSSequentialFile> below, uint64_t end,
              std::shared_ptr<LogReplay> replay)
      : FSSequentialFileOwnerWrapper(std::move(below)),
        left_(end),
        end_(end),
        replay_(std::move(replay)) {}

  IOStatus Read(size_t n, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* dbg) override {
    IOStatus status = target()->Read(std::min<uint64_t>(n, left_), options, result, scratch, dbg);
    if (status.ok()) left_ -= result->size();
    if (status.ok() && replay_ != nullptr) replay_->HasRead(result->size());
    return status;
  }
  IOStatus Skip(uint64_t n) override {
    const uint64_t skipped = std::min(n, left_);
    left_ -= skipped;
    return target()->Skip(skipped);
  }
  IOStatus PositionedRead(uint64_t offset, size_t n, const IOOptions& options, Slice* result,
                          char* scratch, IODebugContext* dbg) override {
    const uint64_t most = end_ - std::min(offset, end_);
    return target()->PositionedRead(offset, std::min<uint64_t>(n, most), options, result, scratch,
                                    dbg);
  }

 private:
  uint64_t left_;
  const uint64_t end_;
  const std::shared_ptr<LogReplay> replay_;  // may be null
};

// 0: not the name of a log.
uint64_t NumberOf(std::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);
  uint64_t number = 0;
  std::from_chars(path.data(), path.data() + path.size(), number);
  return number;
}

class WalFileSystem : public rocksdb::FileSystemWrapper {
 public:
  WalFileSystem(const std::shared_ptr<rocksdb::FileSystem>& below, std::string directory,
                std::shared_ptr<WalFailure> failure, std::shared_ptr<LogSynced> synced,
                std::shared_ptr<LogFindings> findings, std::shared_ptr<LogReplay> replay)
      : FileSystemWrapper(below),
        directory_(std::move(directory)),
        prefix_(directory_ + "/"),
        failure_(std::move(failure)),
        synced_(std::move(synced)),
        findings_(std::move(findings)),
        replay_(std::move(replay)) {}

  const char* Name() const override { return "DedupfsWalFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* dbg) override {
    if (failure_->Failed()) return failure_->First();
    IOStatus status = target()->NewWritableFile(path, options, file, dbg);
    if (!status.ok() || !IsOurs(path)) return status;
    if (IsLog(path)) return MakeLog(path, options, *file, dbg);
    *file = std::make_unique<FileAfterLog>(failure_, std::move(*file));
    return status;
  }

  // What CURRENT names is there for good before it is named.
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* dbg) override {
    if (IsOurs(to) && to.ends_with(kCurrent)) {
      IOStatus synced = SyncDirectory(options, dbg);
      if (!synced.ok()) return synced;
    }
    return target()->RenameFile(from, to, options, dbg);
  }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext* dbg) override {
    LogReading reading;
    if (IsLog(path)) {
      IOStatus read = Read(path, options, reading, dbg);
      if (read.ok() && !findings_->replayed.load()) read = Judge(path, reading);
      if (!read.ok()) return read;
    }
    IOStatus status = target()->NewSequentialFile(path, options, file, dbg);
    if (!status.ok() || !IsLog(path)) return status;
    const bool replayed = replay_ != nullptr && !replay_->ended();
    if (replayed) NoteLog(path, options.io_options, dbg);
    *file =
        std::make_unique<ShorterFile>(std::move(*file), reading.end, replayed ? replay_ : nullptr);
    return status;
  }

  // In their order, which RocksDB's repair replays the logs in.
  IOStatus GetChildren(const std::string& directory, const IOOptions& options,
                       std::vector<std::string>* names, IODebugContext* dbg) override {
    IOStatus status = target()->GetChildren(directory, options, names, dbg);
    std::sort(names->begin(), names->end());
    return status;
  }

  IOStatus NewLogger(const std::string& path, const IOOptions& options,
                     std::shared_ptr<rocksdb::Logger>* logger, IODebugContext* dbg) override {
    FileOptions file_options;
    file_options.io_options = options;
    std::unique_ptr<rocksdb::FSWritableFile> file;
    IOStatus status = target()->NewWritableFile(path, file_options, &file, dbg);
    if (status.ok()) *logger = NewInfoLog(std::move(file));
    return status;
  }

  // Without the zeros: a checkpoint copies so much.
  IOStatus GetFileSize(const std::string& path, const IOOptions& options, uint64_t* size,
                       IODebugContext* dbg) override {
    if (!IsLog(path)) return target()->GetFileSize(path, options, size, dbg);
    FileOptions file_options;
    file_options.io_options = options;
    LogReading reading;
    IOStatus status = Read(path, file_options, reading, dbg);
    *size = reading.end;
    return status;
  }

 private:
  bool IsOurs(std::string_view path) const {
    return path.starts_with(prefix_) && path.find('/', prefix_.size()) == std::string_view::npos;
  }
  bool IsLog(std::string_view path) const { return IsOurs(path) && path.ends_with(kSuffix); }

  IOStatus Read(const std::string& path, const FileOptions& options, LogReading& reading,
                IODebugContext* dbg) {
    std::unique_ptr<rocksdb::FSSequentialFile> file;
    IOStatus status = target()->NewSequentialFile(path, options, &file, dbg);
    if (!status.ok()) return status;
    return ReadLog(*file, NumberOf(path), options.io_options, reading, dbg);
  }

  // RocksDB opens the logs that it replays in their order.
  IOStatus Judge(const std::string& path, const LogReading& reading) {
    std::string damage;
    if (!suspect_.empty() && reading.has_batches) damage = suspect_;
    if (const auto at = reading.not_whole)
      suspect_ = path + " is damaged at offset " + std::to_string(*at);
    if (damage.empty() && reading.damaged) damage = suspect_;
    if (damage.empty()) return IOStatus::OK();
    if (findings_->damage.empty()) findings_->damage = damage;
    if (!findings_->refuse) return IOStatus::OK();
    return IOStatus::Corruption("the write-ahead log " + damage +
                                ", before changes that were made when that was on the disk; "
                                "`dedupfs check --repair` tells what can be saved");
  }

  // It is going to be replayed. What cannot be listed or measured is not counted.
  void NoteLog(const std::string& path, const IOOptions& options, IODebugContext* dbg) {
    if (!replay_->begun()) {
      std::vector<std::string> names;
      uint64_t total = 0;
      const IOStatus listed = target()->GetChildren(directory_, options, &names, dbg);
      for (const std::string& name : names) {
        if (!IsLog(prefix_ + name)) continue;
        uint64_t size = 0;
        const IOStatus found = target()->GetFileSize(prefix_ + name, options, &size, dbg);
        if (listed.ok() && found.ok()) total += size;
      }
      replay_->Begin(total);
    }
    uint64_t size = 0;
    target()->GetFileSize(path, options, &size, dbg).PermitUncheckedError();
    replay_->NextLog(size);
  }

  // Of all names in it.
  IOStatus SyncDirectory(const IOOptions& options, IODebugContext* dbg) {
    std::unique_ptr<rocksdb::FSDirectory> directory;
    IOStatus status = target()->NewDirectory(directory_, options, &directory, dbg);
    if (status.ok()) {
      status = directory->FsyncWithDirOptions(options, dbg, rocksdb::DirFsyncOptions());
    }
    return status;
  }

  // The file is in `whole` already.
  IOStatus MakeLog(const std::string& path, const FileOptions& options,
                   std::unique_ptr<rocksdb::FSWritableFile>& whole, IODebugContext* dbg) {
    std::unique_ptr<rocksdb::FSRandomRWFile> anywhere;
    IOStatus status = target()->NewRandomRWFile(path, options, &anywhere, dbg);
    // A log that comes after this one must not outlive its name.
    if (status.ok()) status = SyncDirectory(options.io_options, dbg);
    if (!status.ok()) {
      whole.reset();
      return status;
    }
    const std::shared_ptr<rocksdb::FSRandomRWFile> log = std::move(anywhere);
    std::shared_ptr<rocksdb::FSRandomRWFile> before;
    {
      const MutexLock lock(mutex_);
      before = std::exchange(latest_, log).lock();
    }
    whole = std::make_unique<LogFile>(options, LogFile::Told{failure_, synced_, NumberOf(path)},
                                      std::move(whole), log, std::move(before));
    return status;
  }

  const std::string directory_;
  const std::string prefix_;
  const std::shared_ptr<WalFailure> failure_;
  const std::shared_ptr<LogSynced> synced_;
  const std::shared_ptr<LogFindings> findings_;
  const std::shared_ptr<LogReplay> replay_;  // may be null
  // A log that is damaged if one behind it holds batches; of the opening thread.
  std::string suspect_;
  Mutex mutex_;
  std::weak_ptr<rocksdb::FSRandomRWFile> latest_ GUARDED_BY(mutex_);  // log
};

}  // namespace

IOStatus WalFailure::First() const {
  MutexLock lock(mutex_);
  return first_;
}

void WalFailure::Set(const IOStatus& status) {
  MutexLock lock(mutex_);
  if (failed_.load()) return;
  first_ = status;
  failed_.store(true);
}

LogPosition LogSynced::Get() const {
  const MutexLock lock(mutex_);
  return position_;
}

void LogSynced::Note(const LogPosition& synced) {
  const MutexLock lock(mutex_);
  if (synced.log > position_.log) position_ = synced;
  if (synced.log == position_.log) position_.offset = std::max(position_.offset, synced.offset);
}

WalFiles NewWalFiles(const std::shared_ptr<rocksdb::FileSystem>& below,
                     const std::string& directory, std::shared_ptr<LogReplay> replay) {
  auto failure = std::make_shared<WalFailure>();
  auto synced = std::make_shared<LogSynced>();
  auto findings = std::make_shared<LogFindings>();
  auto files = std::make_shared<WalFileSystem>(below, directory, failure, synced, findings,
                                               std::move(replay));
  return {std::move(files), std::move(failure), std::move(synced), std::move(findings)};
}

}  // namespace dedupfs
