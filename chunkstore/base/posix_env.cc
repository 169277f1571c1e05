#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"

namespace dedupfs {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirMode = 0700;
constexpr uint64_t kWritebackBytes = 4 << 20;

int OpenRetrying(const std::string& path, int flags) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, kFileMode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

class PosixFile : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;

  Result<size_t> ReadAt(uint64_t offset, MutableBytes out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got =
          ::pread(fd_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got > 0) {
        done += static_cast<size_t>(got);
      } else if (errno != EINTR) {
        return FailErrno("read " + path_);
      }
    }
    return done;
  }

  Status Append(std::span<const Bytes> pieces) override {
    std::vector<iovec> left;
    left.reserve(pieces.size());
    for (const Bytes piece : pieces) {
      if (piece.empty()) continue;
      left.push_back({const_cast<std::byte*>(piece.data()), piece.size()});
    }
    size_t first = 0;
    while (first < left.size()) {
      const auto count = static_cast<int>(std::min<size_t>(left.size() - first, IOV_MAX));
      const ssize_t wrote = ::writev(fd_, left.data() + first, count);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return FailErrno("append " + path_);
      auto rest = static_cast<size_t>(wrote);
      appended_ += rest;
      while (first < left.size() && rest >= left[first].iov_len) rest -= left[first++].iov_len;
      if (rest == 0) continue;
      left[first].iov_base = static_cast<std::byte*>(left[first].iov_base) + rest;
      left[first].iov_len -= rest;
    }
    StartWriteback();
    return Ok();
  }

  Status Sync() override {
    // The kernel reports a lost page once, and the next fdatasync succeeds without it.
    if (const int code = sync_errno_.load(); code != 0) {
      return Fail(code, "sync " + path_ + ": an earlier sync failed");
    }
    if (::fdatasync(fd_) == 0) return Ok();
    sync_errno_ = errno;
    return FailErrno("sync " + path_);
  }

  Result<uint64_t> Size() override {
    struct stat info {};
    if (::fstat(fd_, &info) != 0) return FailErrno("stat " + path_);
    return static_cast<uint64_t>(info.st_size);
  }

  void DropCached() override { ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

 private:
  // The disk works while more is chunked, so that a later Sync finds little left. It promises
  // nothing, and an error shows in Sync.
  void StartWriteback() {
    if (appended_ - writing_back_ < kWritebackBytes) return;
    ::sync_file_range(fd_, static_cast<off64_t>(writing_back_),
                      static_cast<off64_t>(appended_ - writing_back_), SYNC_FILE_RANGE_WRITE);
    writing_back_ = appended_;
  }

  const int fd_;
  const std::string path_;
  // By the one thread that appends.
  uint64_t appended_ = 0;
  uint64_t writing_back_ = 0;
  std::atomic<int> sync_errno_{0};
};

class PosixEnvironment : public Env {
 public:
  Result<std::unique_ptr<File>> Create(const std::string& path) override {
    const int fd = OpenRetrying(path, O_CREAT | O_EXCL | O_RDWR | O_APPEND);
    if (fd < 0) return FailErrno("create " + path);
    return std::make_unique<PosixFile>(fd, path);
  }

  Result<std::unique_ptr<File>> OpenForRead(const std::string& path) override {
    const int fd = OpenRetrying(path, O_RDONLY);
    if (fd < 0) return FailErrno("open " + path);
    return std::make_unique<PosixFile>(fd, path);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return Ok();
    return FailErrno("rename " + from + " to " + to);
  }

  Status Remove(const std::string& path) override {
    if (::remove(path.c_str()) == 0) return Ok();
    return FailErrno("remove " + path);
  }

  Status MakeDir(const std::string& path) override {
    if (::mkdir(path.c_str(), kDirMode) == 0) return Ok();
    return FailErrno("mkdir " + path);
  }

  Status SyncDir(const std::string& path) override {
    const int fd = OpenRetrying(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return FailErrno("open directory " + path);
    Status status = Ok();
    if (::fsync(fd) != 0) status = FailErrno("sync directory " + path);
    ::close(fd);
    return status;
  }

  Result<std::vector<std::string>> List(const std::string& path) override {
    DIR* const directory = ::opendir(path.c_str());
    if (directory == nullptr) return FailErrno("list " + path);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    const int code = errno;
    ::closedir(directory);
    errno = code;
    if (code != 0) return FailErrno("list " + path);
    return names;
  }

  Result<SpaceInfo> Space(const std::string& path) override {
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0) return FailErrno("statvfs " + path);
    return SpaceInfo{.total = info.f_blocks * info.f_frsize,
                     .free = info.f_bfree * info.f_frsize,
                     .available = info.f_bavail * info.f_frsize,
                     .files = info.f_files,
                     .files_free = info.f_ffree};
  }
};

}  // namespace

Env& PosixEnv() {
  static auto* const env = new PosixEnvironment;
  return *env;
}

}  // namespace dedupfs
