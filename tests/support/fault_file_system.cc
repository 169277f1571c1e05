// The database's side of a FaultDisk: RocksDB's FileSystem.
#include <rocksdb/file_system.h>

#include <system_error>

#include "tests/support/fault_disk.h"

namespace dedupfs {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus Failed(int code, const std::string& path) {
  return IOStatus::IOError(path, std::generic_category().message(code));
}

class WritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  WritableFile(FaultDisk& disk, std::unique_ptr<rocksdb::FSWritableFile> file, std::string path,
               uint64_t number, uint64_t end)
      : FSWritableFileOwnerWrapper(std::move(file)),
        disk_(disk),
        path_(std::move(path)),
        number_(number),
        end_(end) {}

  using FSWritableFileOwnerWrapper::Append;
  using FSWritableFileOwnerWrapper::PositionedAppend;

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus status = Write(end_, data, [&] { return target()->Append(data, options, debug); });
    if (status.ok()) end_ += data.size();
    return status;
  }
  IOStatus Append(const Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*info*/, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    return Write(offset, data,
                 [&] { return target()->PositionedAppend(data, offset, options, debug); });
  }
  IOStatus PositionedAppend(const Slice& data, uint64_t offset, const IOOptions& options,
                            const rocksdb::DataVerificationInfo& /*info*/,
                            IODebugContext* debug) override {
    return PositionedAppend(data, offset, options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    // RocksDB cuts a file to the size that it has at every close.
    if (disk_.SizeOf(number_) == size) return target()->Truncate(size, options, debug);
    return Do({.kind = DiskCall::Kind::kTruncate, .file = number_, .offset = size},
              [&] { return target()->Truncate(size, options, debug); });
  }
  IOStatus Sync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return Do({.kind = DiskCall::Kind::kSync, .file = number_}, [] { return IOStatus::OK(); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus RangeSync(uint64_t /*offset*/, uint64_t /*size*/, const IOOptions& /*options*/,
                     IODebugContext* /*debug*/) override {
    return IOStatus::OK();  // promises nothing
  }
  // No bytes change; on a disk in memory it would take 70 MiB for each log.
  void PrepareWrite(size_t /*offset*/, size_t /*size*/, const IOOptions& /*options*/,
                    IODebugContext* /*debug*/) override {}
  IOStatus Allocate(uint64_t /*offset*/, uint64_t /*size*/, const IOOptions& /*options*/,
                    IODebugContext* /*debug*/) override {
    return IOStatus::OK();
  }

 private:
  template <typename Act>
  IOStatus Write(uint64_t offset, const Slice& data, const Act& act) {
    return Do({.kind = DiskCall::Kind::kWrite,
               .file = number_,
               .offset = offset,
               .data = data.ToString()},
              act);
  }
  template <typename Act>
  IOStatus Do(const DiskCall& call, const Act& act) {
    return disk_.Do(
        call, [&](int code) { return Failed(code, path_); }, act);
  }

  FaultDisk& disk_;
  const std::string path_;
  const uint64_t number_;
  uint64_t end_;  // where the next Append goes
};

class RandomRWFile : public rocksdb::FSRandomRWFileOwnerWrapper {
 public:
  RandomRWFile(FaultDisk& disk, std::unique_ptr<rocksdb::FSRandomRWFile> file, std::string path,
               uint64_t number)
      : FSRandomRWFileOwnerWrapper(std::move(file)),
        disk_(disk),
        path_(std::move(path)),
        number_(number) {}

  IOStatus Write(uint64_t offset, const Slice& data, const IOOptions& options,
                 IODebugContext* debug) override {
    return disk_.Do(
        {.kind = DiskCall::Kind::kWrite,
         .file = number_,
         .offset = offset,
         .data = data.ToString()},
        [&](int code) { return Failed(code, path_); },
        [&] { return target()->Write(offset, data, options, debug); });
  }
  IOStatus Sync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return disk_.Do(
        {.kind = DiskCall::Kind::kSync, .file = number_},
        [&](int code) { return Failed(code, path_); }, [] { return IOStatus::OK(); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }

 private:
  FaultDisk& disk_;
  const std::string path_;
  const uint64_t number_;
};

class RandomAccessFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  RandomAccessFile(FaultDisk& disk, std::unique_ptr<rocksdb::FSRandomAccessFile> file,
                   std::string path)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}

  IOStatus Read(uint64_t offset, size_t size, const IOOptions& options, Slice* result,
                char* scratch, IODebugContext* debug) const override {
    if (const int code = disk_.Look("read", path_); code != 0) return Failed(code, path_);
    return target()->Read(offset, size, options, result, scratch, debug);
  }
  IOStatus MultiRead(rocksdb::FSReadRequest* requests, size_t count, const IOOptions& options,
                     IODebugContext* debug) override {
    if (const int code = disk_.Look("read", path_); code != 0) return Failed(code, path_);
    return target()->MultiRead(requests, count, options, debug);
  }

 private:
  FaultDisk& disk_;
  const std::string path_;
};

class SequentialFile : public rocksdb::FSSequentialFileOwnerWrapper {
 public:
  SequentialFile(FaultDisk& disk, std::unique_ptr<rocksdb::FSSequentialFile> file, std::string path)
      : FSSequentialFileOwnerWrapper(std::move(file)), disk_(disk), path_(std::move(path)) {}

  IOStatus Read(size_t size, const IOOptions& options, Slice* result, char* scratch,
                IODebugContext* debug) override {
    if (const int code = disk_.Look("read", path_); code != 0) return Failed(code, path_);
    return target()->Read(size, options, result, scratch, debug);
  }

 private:
  FaultDisk& disk_;
  const std::string path_;
};

class Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(FaultDisk& disk, std::unique_ptr<rocksdb::FSDirectory> directory, std::string path)
      : FSDirectoryWrapper(std::move(directory)), disk_(disk), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return disk_.Do(
        {.kind = DiskCall::Kind::kSyncDir, .path = path_},
        [&](int code) { return Failed(code, path_); }, [] { return IOStatus::OK(); });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& /*why*/) override {
    return Fsync(options, debug);
  }

 private:
  FaultDisk& disk_;
  const std::string path_;
};

class FaultFileSystem : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultFileSystem(FaultDisk& disk)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(disk) {}

  static const char* kClassName() { return "FaultFileSystem"; }
  const char* Name() const override { return kClassName(); }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    const auto relative = disk_.Relative(path);
    if (!relative) return target()->NewWritableFile(path, options, file, debug);
    // One that is there is emptied.
    const uint64_t old = disk_.FileAt(*relative);
    const DiskCall call = old == 0 ? DiskCall{.kind = DiskCall::Kind::kCreate, .path = *relative}
                                   : DiskCall{.kind = DiskCall::Kind::kTruncate, .file = old};
    IOStatus status =
        Do(call, [&] { return target()->NewWritableFile(path, options, file, debug); });
    if (status.ok()) Wrap(*file, *relative, 0);
    return status;
  }

  IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                              IODebugContext* debug) override {
    const auto relative = disk_.Relative(path);
    if (!relative) return target()->ReopenWritableFile(path, options, file, debug);
    const auto open = [&] { return target()->ReopenWritableFile(path, options, file, debug); };
    const uint64_t old = disk_.FileAt(*relative);
    IOStatus status =
        old == 0 ? Do({.kind = DiskCall::Kind::kCreate, .path = *relative}, open) : open();
    if (status.ok()) Wrap(*file, *relative, old == 0 ? 0 : disk_.SizeOf(old));
    return status;
  }

  IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                             const rocksdb::FileOptions& options,
                             std::unique_ptr<rocksdb::FSWritableFile>* file,
                             IODebugContext* debug) override {
    const auto relative = disk_.Relative(path);
    const auto old = disk_.Relative(old_path);
    if (!relative || !old) return IOStatus::NotSupported(path);
    IOStatus status = Do({.kind = DiskCall::Kind::kRename, .path = *old, .to = *relative}, [&] {
      return target()->ReuseWritableFile(path, old_path, options, file, debug);
    });
    if (status.ok()) Wrap(*file, *relative, 0);
    return status;
  }

  IOStatus NewRandomRWFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSRandomRWFile>* file,
                           IODebugContext* debug) override {
    const auto relative = disk_.Relative(path);
    const uint64_t number = relative ? disk_.FileAt(*relative) : 0;
    if (number == 0) return target()->NewRandomRWFile(path, options, file, debug);
    IOStatus status = target()->NewRandomRWFile(path, options, file, debug);
    if (status.ok()) {
      *file = std::make_unique<RandomRWFile>(disk_, std::move(*file), *relative, number);
    }
    return status;
  }

  IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* debug) override {
    const auto relative = disk_.Relative(path);
    if (!relative) return target()->NewRandomAccessFile(path, options, file, debug);
    if (const int code = disk_.Look("open", *relative); code != 0) return Failed(code, path);
    IOStatus status = target()->NewRandomAccessFile(path, options, file, debug);
    if (status.ok()) {
      *file = std::make_unique<RandomAccessFile>(disk_, std::move(*file), *relative);
    }
    return status;
  }

  IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext* debug) override {
    const auto relative = disk_.Relative(path);
    if (!relative) return target()->NewSequentialFile(path, options, file, debug);
    if (const int code = disk_.Look("open", *relative); code != 0) return Failed(code, path);
    IOStatus status = target()->NewSequentialFile(path, options, file, debug);
    if (status.ok()) *file = std::make_unique<SequentialFile>(disk_, std::move(*file), *relative);
    return status;
  }

  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext* debug) override {
    IOStatus status = target()->NewDirectory(path, options, directory, debug);
    const auto relative = disk_.Relative(path);
    if (status.ok() && relative) {
      *directory = std::make_unique<Directory>(disk_, std::move(*directory), *relative);
    }
    return status;
  }

  IOStatus GetChildren(const std::string& path, const IOOptions& options,
                       std::vector<std::string>* names, IODebugContext* debug) override {
    if (const int code = disk_.Look("list", path); code != 0) return Failed(code, path);
    return target()->GetChildren(path, options, names, debug);
  }

  IOStatus DeleteFile(const std::string& path, const IOOptions& options,
                      IODebugContext* debug) override {
    return DoIfSimulated(DiskCall::Kind::kRemove, path,
                         [&] { return target()->DeleteFile(path, options, debug); });
  }
  IOStatus DeleteDir(const std::string& path, const IOOptions& options,
                     IODebugContext* debug) override {
    return DoIfSimulated(DiskCall::Kind::kRemove, path,
                         [&] { return target()->DeleteDir(path, options, debug); });
  }
  IOStatus CreateDir(const std::string& path, const IOOptions& options,
                     IODebugContext* debug) override {
    return DoIfSimulated(DiskCall::Kind::kMakeDir, path,
                         [&] { return target()->CreateDir(path, options, debug); });
  }
  IOStatus CreateDirIfMissing(const std::string& path, const IOOptions& options,
                              IODebugContext* debug) override {
    if (disk_.Has(path)) return IOStatus::OK();
    return CreateDir(path, options, debug);
  }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* debug) override {
    const auto old = disk_.Relative(from);
    const auto fresh = disk_.Relative(to);
    if (!old || !fresh) return target()->RenameFile(from, to, options, debug);
    return Do({.kind = DiskCall::Kind::kRename, .path = *old, .to = *fresh},
              [&] { return target()->RenameFile(from, to, options, debug); });
  }
  IOStatus LinkFile(const std::string& from, const std::string& /*to*/,
                    const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return IOStatus::NotSupported(from);
  }
  IOStatus Truncate(const std::string& path, size_t size, const IOOptions& options,
                    IODebugContext* debug) override {
    const auto relative = disk_.Relative(path);
    const uint64_t number = relative ? disk_.FileAt(*relative) : 0;
    if (number == 0) return target()->Truncate(path, size, options, debug);
    return Do({.kind = DiskCall::Kind::kTruncate, .file = number, .offset = size},
              [&] { return target()->Truncate(path, size, options, debug); });
  }

 private:
  template <typename Act>
  IOStatus Do(const DiskCall& call, const Act& act) {
    return disk_.Do(
        call, [&](int code) { return Failed(code, call.path); }, act);
  }
  template <typename Act>
  IOStatus DoIfSimulated(DiskCall::Kind kind, const std::string& path, const Act& act) {
    const auto relative = disk_.Relative(path);
    if (!relative) return act();
    return Do({.kind = kind, .path = *relative}, act);
  }
  void Wrap(std::unique_ptr<rocksdb::FSWritableFile>& file, const std::string& relative,
            uint64_t end) {
    file = std::make_unique<WritableFile>(disk_, std::move(file), relative, disk_.FileAt(relative),
                                          end);
  }

  FaultDisk& disk_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> NewFaultFileSystem(FaultDisk& disk) {
  return std::make_shared<FaultFileSystem>(disk);
}

}  // namespace dedupfs
