#include <rocksdb/file_system.h>

#include <cerrno>
#include <string>
#include <utility>

#include "chunkstore/base/draft_files.h"
#include "chunkstore/base/rocks_wal_files.h"

namespace dedupfs {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

class DraftFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  DraftFile(std::shared_ptr<WalFailure> failure, std::unique_ptr<rocksdb::FSWritableFile> below)
      : FSWritableFileOwnerWrapper(std::move(below)), failure_(std::move(failure)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Append(data, options, dbg); });
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& checksum, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Append(data, options, checksum, dbg); });
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Truncate(size, options, dbg); });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Flush(options, dbg); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Sync(options, dbg); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Fsync(options, dbg); });
  }
  IOStatus RangeSync(uint64_t offset, uint64_t size, const IOOptions& options,
                     IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->RangeSync(offset, size, options, dbg); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    IOStatus closed = target()->Close(options, dbg);
    return failure_->Quietly([&] { return std::move(closed); });
  }

 private:
  const std::shared_ptr<WalFailure> failure_;
};

// The log (rocks_wal_files.h).
class DraftLog : public rocksdb::FSRandomRWFileOwnerWrapper {
 public:
  DraftLog(std::shared_ptr<WalFailure> failure, std::unique_ptr<rocksdb::FSRandomRWFile> below)
      : FSRandomRWFileOwnerWrapper(std::move(below)), failure_(std::move(failure)) {}

  IOStatus Write(uint64_t offset, const Slice& data, const IOOptions& options,
                 IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Write(offset, data, options, dbg); });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Flush(options, dbg); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Sync(options, dbg); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return failure_->Quietly([&] { return target()->Fsync(options, dbg); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    IOStatus closed = target()->Close(options, dbg);
    return failure_->Quietly([&] { return std::move(closed); });
  }

 private:
  const std::shared_ptr<WalFailure> failure_;
};

class DraftFileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit DraftFileSystem(std::shared_ptr<WalFailure> failure)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), failure_(std::move(failure)) {}

  const char* Name() const override { return "DedupfsDraftFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* dbg) override {
    IOStatus status = target()->NewWritableFile(path, options, file, dbg);
    if (status.ok()) {
      *file = std::make_unique<DraftFile>(failure_, std::move(*file));
    } else {
      failure_->Set(status);
    }
    return status;
  }
  IOStatus NewRandomRWFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                           IODebugContext* dbg) override {
    IOStatus status = target()->NewRandomRWFile(path, options, file, dbg);
    if (status.ok()) {
      *file = std::make_unique<DraftLog>(failure_, std::move(*file));
    } else {
      failure_->Set(status);
    }
    return status;
  }

 private:
  const std::shared_ptr<WalFailure> failure_;
};

}  // namespace

struct DraftFiles::State {
  const std::shared_ptr<WalFailure> failure = std::make_shared<WalFailure>();
  const std::shared_ptr<rocksdb::FileSystem> files = std::make_shared<DraftFileSystem>(failure);
};

DraftFiles::DraftFiles() : state_(std::make_unique<State>()) {}
DraftFiles::~DraftFiles() = default;

std::shared_ptr<rocksdb::FileSystem> DraftFiles::file_system() const { return state_->files; }

Status DraftFiles::failure() const {
  if (!state_->failure->Failed()) return Ok();
  const IOStatus first = state_->failure->First();
  const bool full = first.subcode() == IOStatus::SubCode::kNoSpace;
  return Fail(full ? ENOSPC : EIO, "the new database: " + first.ToString());
}

}  // namespace dedupfs
