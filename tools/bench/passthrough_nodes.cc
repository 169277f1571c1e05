#include "tools/bench/passthrough_nodes.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "tools/bench/passthrough_handlers.h"

namespace dedupfs {

PassthroughNodes::PassthroughNodes(int root_fd) { root_.fd = root_fd; }

PassthroughNodes::~PassthroughNodes() {
  MutexLock lock(mutex_);
  for (const auto& [key, node] : nodes_) ::close(node->fd);
  ::close(root_.fd);
}

int PassthroughNodes::Lookup(fuse_ino_t parent, const char* name, fuse_entry_param& entry) {
  entry = {};
  entry.attr_timeout = kPassthroughTimeoutS;
  entry.entry_timeout = kPassthroughTimeoutS;
  const int fd = ::openat(Get(parent).fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  if (::fstat(fd, &entry.attr) != 0) {
    const int code = errno;
    ::close(fd);
    return -code;
  }
  MutexLock lock(mutex_);
  std::unique_ptr<PassthroughNode>& node = nodes_[Key{entry.attr.st_dev, entry.attr.st_ino}];
  if (node == nullptr) {
    node = std::make_unique<PassthroughNode>();
    *node = {.fd = fd, .device = entry.attr.st_dev, .number = entry.attr.st_ino, .nlookup = 0};
  } else {
    ::close(fd);
  }
  ++node->nlookup;
  entry.ino = reinterpret_cast<fuse_ino_t>(node.get());
  return 0;
}

void PassthroughNodes::Forget(fuse_ino_t ino, uint64_t count) {
  if (ino == FUSE_ROOT_ID) return;
  PassthroughNode& node = Get(ino);
  MutexLock lock(mutex_);
  if (node.nlookup > count) {
    node.nlookup -= count;
    return;
  }
  ::close(node.fd);
  nodes_.erase(Key{node.device, node.number});
}

}  // namespace dedupfs
