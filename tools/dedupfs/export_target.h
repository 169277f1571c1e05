// The directory that a tree is exported into, and how files are written below it.
//
// While the work is not done, `.dedupfs-export` lies in it: so one that did not end can be told,
// and hard links are found again there by inode number.
//
// Thread safety: one thread at a time.
// Ownership:     owns the descriptor of the directory.
// Durability:    none before the caller has synced the directory's file system.
// Errors:        those of the disk; ENOTEMPTY where there is something in the directory.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"
#include "fs/file_system.h"

namespace dedupfs {

// Closes what it holds.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

Result<Descriptor> OpenDirectory(int parent, const std::string& name);
Status WriteAll(int fd, uint64_t offset, Bytes data);

class ExportTarget {
 public:
  // Makes the directory, or takes an empty one.
  static Result<ExportTarget> Open(const std::string& path);

  int fd() const { return directory_.get(); }
  // Under a name that `root`, what is exported, does not have as well.
  Status MakeLinksDirectory(FileSystem& file_system, const Attributes& root);
  Status RemoveLinksDirectory();
  // Relative to fd(): where a file that has more names to come gets one more.
  std::string LinkName(Ino ino) const { return links_name_ + "/" + std::to_string(ino); }

 private:
  explicit ExportTarget(Descriptor directory) : directory_(std::move(directory)) {}

  Descriptor directory_;
  std::string links_name_;
};

}  // namespace dedupfs
