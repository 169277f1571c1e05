// The inodes that the kernel knows of the bare pass-through, each with a descriptor of its file.
//
// Thread safety: every public method may be called concurrently.
// Ownership:     the table owns its nodes and their descriptors; a node lives until the kernel has
//                forgotten every reference that Find() and Lookup() handed out.
// Errors:        negative errno values, as libfuse takes them.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "chunkstore/base/mutex.h"
#include "fs/fuse/lowlevel.h"

namespace dedupfs {

struct PassthroughNode {
  int fd = -1;  // O_PATH
  dev_t device = 0;
  ino_t number = 0;
  uint64_t nlookup = 0;

  // Opens the file itself, which an O_PATH descriptor cannot read or write.
  std::string ProcPath() const { return "/proc/self/fd/" + std::to_string(fd); }
};

class PassthroughNodes {
 public:
  // Takes `root_fd`, an O_PATH descriptor of the directory that is passed through.
  explicit PassthroughNodes(int root_fd);
  ~PassthroughNodes();
  PassthroughNodes(const PassthroughNodes&) = delete;
  PassthroughNodes& operator=(const PassthroughNodes&) = delete;

  PassthroughNode& Get(fuse_ino_t ino) {
    return ino == FUSE_ROOT_ID ? root_ : *reinterpret_cast<PassthroughNode*>(ino);
  }

  // Fills `entry` for the kernel, which holds one more reference then. Returns 0 or -errno.
  int Lookup(fuse_ino_t parent, const char* name, fuse_entry_param& entry);

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

  PassthroughNode root_;
  Mutex mutex_;
  std::unordered_map<Key, std::unique_ptr<PassthroughNode>, KeyHash> nodes_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
