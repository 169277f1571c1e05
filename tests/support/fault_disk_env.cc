// The Env of a FaultDisk.
#include <system_error>

#include "tests/support/fault_disk.h"

namespace dedupfs {
namespace {

tl::unexpected<Error> FailPath(int code, const std::string& path) {
  return Fail(code, path + ": " + std::generic_category().message(code));
}

class DiskFile : public File {
 public:
  DiskFile(FaultDisk& disk, std::unique_ptr<File> file, std::string path, uint64_t number)
      : disk_(disk), file_(std::move(file)), path_(std::move(path)), number_(number) {}

  Result<size_t> ReadAt(uint64_t offset, MutableBytes out) override {
    if (const int code = disk_.Look("read", path_); code != 0) return FailPath(code, path_);
    return file_->ReadAt(offset, out);
  }

  Status Append(std::span<const Bytes> pieces) override {
    DiskCall call{.kind = DiskCall::Kind::kWrite, .file = number_, .offset = appended_};
    for (const Bytes piece : pieces) call.data.append(AsText(piece));
    Status status = disk_.Do(
        call, [&](int code) -> Status { return FailPath(code, path_); },
        [&] { return file_->Append(pieces); });
    if (status) appended_ += call.data.size();
    return status;
  }

  Status Sync() override {
    // As the real disk: a file whose sync failed is never synced again with success.
    if (sync_errno_ != 0) return FailPath(sync_errno_, path_);
    return disk_.Do(
        {.kind = DiskCall::Kind::kSync, .file = number_},
        [&](int code) -> Status {
          sync_errno_ = code;
          return FailPath(code, path_);
        },
        [] { return Ok(); });
  }

  Result<uint64_t> Size() override { return file_->Size(); }

 private:
  FaultDisk& disk_;
  const std::unique_ptr<File> file_;
  const std::string path_;
  const uint64_t number_;
  uint64_t appended_ = 0;  // by the one thread that appends
  int sync_errno_ = 0;     // by the one thread that syncs
};

class FaultDiskEnv : public Env {
 public:
  explicit FaultDiskEnv(FaultDisk& disk) : disk_(disk) {}

  Result<std::unique_ptr<File>> Create(const std::string& path) override {
    const std::string relative = disk_.Relative(path).value();
    auto made = disk_.Do(
        {.kind = DiskCall::Kind::kCreate, .path = relative},
        [&](int code) -> Result<std::unique_ptr<File>> { return FailPath(code, path); },
        [&] { return PosixEnv().Create(path); });
    if (!made) return made;
    return std::make_unique<DiskFile>(disk_, std::move(*made), path, disk_.FileAt(relative));
  }

  Result<std::unique_ptr<File>> OpenForRead(const std::string& path) override {
    if (const int code = disk_.Look("open", path); code != 0) return FailPath(code, path);
    DEDUPFS_ASSIGN_OR_RETURN(auto file, PosixEnv().OpenForRead(path));
    const uint64_t number = disk_.FileAt(disk_.Relative(path).value());
    return std::make_unique<DiskFile>(disk_, std::move(file), path, number);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    return Do({.kind = DiskCall::Kind::kRename,
               .path = disk_.Relative(from).value(),
               .to = disk_.Relative(to).value()},
              from, [&] { return PosixEnv().Rename(from, to); });
  }

  Status Remove(const std::string& path) override {
    return Do({.kind = DiskCall::Kind::kRemove, .path = disk_.Relative(path).value()}, path,
              [&] { return PosixEnv().Remove(path); });
  }

  Status MakeDir(const std::string& path) override {
    return Do({.kind = DiskCall::Kind::kMakeDir, .path = disk_.Relative(path).value()}, path,
              [&] { return PosixEnv().MakeDir(path); });
  }

  Status SyncDir(const std::string& path) override {
    return Do({.kind = DiskCall::Kind::kSyncDir, .path = disk_.Relative(path).value()}, path,
              [] { return Ok(); });
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    if (const int code = disk_.Look("list", path); code != 0) return FailPath(code, path);
    return PosixEnv().List(path);
  }

  Result<SpaceInfo> Space(const std::string& path) override { return PosixEnv().Space(path); }

 private:
  template <typename Act>
  Status Do(const DiskCall& call, const std::string& path, const Act& act) {
    return disk_.Do(
        call, [&](int code) -> Status { return FailPath(code, path); }, act);
  }

  FaultDisk& disk_;
};

}  // namespace

std::unique_ptr<Env> NewFaultDiskEnv(FaultDisk& disk) {
  return std::make_unique<FaultDiskEnv>(disk);
}

}  // namespace dedupfs
