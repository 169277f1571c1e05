// The inodes that the kernel knows of the bare pass-through, each with a descriptor of its file,
// or, where those would get scarce, with a file handle that is opened for the time of a request.
//
// Thread safety: every public method may be called concurrently.
// Ownership:     the table owns its nodes and their descriptors; a node lives until the kernel has
//                forgotten every reference that Lookup() handed out.
// Errors:        negative errno values, as libfuse takes them; Open() as open(2).
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "fs/fuse/lowlevel.h"

namespace dedupfs {

// Opens the file itself, which an O_PATH descriptor cannot read or write.
inline std::string ProcPath(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// An O_PATH descriptor for the time of a request; -1: errno says why there is none.
class PassthroughFd {
 public:
  PassthroughFd(int fd, bool closes) : fd_(fd), closes_(closes) {}
  PassthroughFd(PassthroughFd&& other) noexcept
      : fd_(other.fd_), closes_(std::exchange(other.closes_, false)) {}
  PassthroughFd(const PassthroughFd&) = delete;
  PassthroughFd& operator=(const PassthroughFd&) = delete;
  ~PassthroughFd();

  int get() const { return fd_; }
  int Keep() {
    closes_ = false;
    return fd_;
  }

 private:
  int fd_;
  bool closes_;
};

struct PassthroughNode {
  int fd = -1;                   // O_PATH, or -1:
  std::vector<uint32_t> handle;  // a struct file_handle
  dev_t device = 0;
  ino_t number = 0;
  uint64_t nlookup = 0;
};

class PassthroughNodes {
 public:
  // Takes `root_fd`, an O_PATH descriptor of the directory that is passed through. Half of the
  // process's descriptors may be kept for nodes, the rest is for open files.
  explicit PassthroughNodes(int root_fd);
  ~PassthroughNodes();
  PassthroughNodes(const PassthroughNodes&) = delete;
  PassthroughNodes& operator=(const PassthroughNodes&) = delete;

  PassthroughFd Open(fuse_ino_t ino) const;

  // Fills `entry` for the kernel, which holds one more reference then. Returns 0 or -errno.
  int Lookup(int parent_fd, const char* name, fuse_entry_param& entry);

  void Forget(fuse_ino_t ino, uint64_t count);

 private:
  struct Key {
    dev_t device;
    ino_t number;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const {
      return std::hash<uint64_t>()(key.number * 31 + key.device);
    }
  };

  PassthroughNode* Find(const Key& key, int fd) REQUIRES(mutex_);
  PassthroughNode* Add(const Key& key, PassthroughFd& found) REQUIRES(mutex_);
  std::vector<uint32_t> HandleToKeep(const Key& key, int fd) REQUIRES(mutex_);

  PassthroughNode root_;
  int mount_fd_;  // what open_by_handle_at() takes for the file system
  bool handles_work_;
  size_t max_kept_;
  Mutex mutex_;
  size_t kept_ GUARDED_BY(mutex_) = 0;  // descriptors of nodes
  bool warned_ GUARDED_BY(mutex_) = false;
  // A handle does not hold its inode, so the disk may use the number again before the kernel
  // forgets the old file: then a key has several nodes.
  std::unordered_multimap<Key, std::unique_ptr<PassthroughNode>, KeyHash> nodes_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
