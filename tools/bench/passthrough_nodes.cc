#include "tools/bench/passthrough_nodes.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tools/bench/passthrough_handlers.h"

namespace dedupfs {
namespace {

// Empty where the file system has none.
std::vector<uint32_t> HandleOf(int fd) {
  alignas(file_handle)
      std::array<uint32_t, (sizeof(file_handle) + MAX_HANDLE_SZ) / sizeof(uint32_t)>
          space = {};
  auto* handle = reinterpret_cast<file_handle*>(space.data());
  handle->handle_bytes = MAX_HANDLE_SZ;
  int mount_id = 0;
  if (::name_to_handle_at(fd, "", handle, &mount_id, AT_EMPTY_PATH) != 0) return {};
  const size_t bytes = sizeof(file_handle) + handle->handle_bytes;
  const size_t words = (bytes + sizeof(uint32_t) - 1) / sizeof(uint32_t);
  return {space.begin(), space.begin() + static_cast<ptrdiff_t>(words)};
}

int OpenHandle(int mount_fd, const std::vector<uint32_t>& handle) {
  std::vector<uint32_t> copy = handle;  // the call takes no const
  return ::open_by_handle_at(mount_fd, reinterpret_cast<file_handle*>(copy.data()),
                             O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

PassthroughNode* NodeOf(fuse_ino_t ino) { return std::bit_cast<PassthroughNode*>(ino); }

size_t HalfOfTheDescriptors() {
  rlimit limit = {};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur / 2 : 0;
}

}  // namespace

PassthroughFd::~PassthroughFd() {
  if (closes_ && fd_ >= 0) ::close(fd_);
}

PassthroughNodes::PassthroughNodes(int root_fd)
    : mount_fd_(::openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
      handles_work_(false),
      max_kept_(HalfOfTheDescriptors()) {
  root_.fd = root_fd;
  struct stat attributes;
  if (::fstat(root_fd, &attributes) == 0) root_.device = attributes.st_dev;
  const std::vector<uint32_t> handle = HandleOf(root_fd);
  if (mount_fd_ < 0 || handle.empty()) return;
  const PassthroughFd opened(OpenHandle(mount_fd_, handle), true);
  handles_work_ = opened.get() >= 0;
}

PassthroughNodes::~PassthroughNodes() {
  MutexLock lock(mutex_);
  for (const auto& [key, node] : nodes_) {
    if (node->fd >= 0) ::close(node->fd);
  }
  if (mount_fd_ >= 0) ::close(mount_fd_);
  ::close(root_.fd);
}

PassthroughFd PassthroughNodes::Open(fuse_ino_t ino) const {
  if (ino == FUSE_ROOT_ID) return {root_.fd, false};
  const PassthroughNode& node = *NodeOf(ino);
  if (node.fd >= 0) return {node.fd, false};
  return {OpenHandle(mount_fd_, node.handle), true};
}

// A node with a descriptor holds its inode, so no other file can have its number meanwhile.
PassthroughNode* PassthroughNodes::Find(const Key& key, int fd) {
  std::vector<uint32_t> handle;
  const auto [begin, end] = nodes_.equal_range(key);
  for (auto it = begin; it != end; ++it) {
    PassthroughNode& node = *it->second;
    if (node.fd >= 0) return &node;
    if (handle.empty()) handle = HandleOf(fd);
    if (node.handle == handle) return &node;
  }
  return nullptr;
}

// Empty: the descriptor is to be kept instead.
std::vector<uint32_t> PassthroughNodes::HandleToKeep(const Key& key, int fd) {
  if (kept_ < max_kept_) return {};
  if (handles_work_ && key.device == root_.device) return HandleOf(fd);
  if (!warned_) {
    std::fprintf(stderr,
                 "dedupfs_passthrough: over %zu files, and open_by_handle_at does not work here "
                 "(it needs CAP_DAC_READ_SEARCH and one file system): each file takes a "
                 "descriptor, and soon requests fail with EMFILE\n",
                 max_kept_);
  }
  warned_ = true;
  return {};
}

PassthroughNode* PassthroughNodes::Add(const Key& key, PassthroughFd& found) {
  auto node = std::make_unique<PassthroughNode>();
  node->device = key.device;
  node->number = key.number;
  node->handle = HandleToKeep(key, found.get());
  if (node->handle.empty()) {
    node->fd = found.Keep();
    ++kept_;
  }
  return nodes_.emplace(key, std::move(node))->second.get();
}

int PassthroughNodes::Lookup(int parent_fd, const char* name, fuse_entry_param& entry) {
  entry = {};
  entry.attr_timeout = kPassthroughTimeoutS;
  entry.entry_timeout = kPassthroughTimeoutS;
  // Only someone who opens files of the mount by handle asks that, of inodes long forgotten.
  if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) return -ESTALE;
  PassthroughFd found(::openat(parent_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), true);
  if (found.get() < 0) return -errno;
  if (::fstat(found.get(), &entry.attr) != 0) return -errno;
  const Key key = {entry.attr.st_dev, entry.attr.st_ino};
  entry.attr.st_blksize = kPassthroughIoBytes;
  MutexLock lock(mutex_);
  PassthroughNode* node = Find(key, found.get());
  if (node == nullptr) node = Add(key, found);
  ++node->nlookup;
  entry.ino = std::bit_cast<fuse_ino_t>(node);
  return 0;
}

void PassthroughNodes::Forget(fuse_ino_t ino, uint64_t count) {
  if (ino == FUSE_ROOT_ID) return;
  PassthroughNode& node = *NodeOf(ino);
  MutexLock lock(mutex_);
  if (node.nlookup > count) {
    node.nlookup -= count;
    return;
  }
  if (node.fd >= 0) {
    ::close(node.fd);
    --kept_;
  }
  const auto [begin, end] = nodes_.equal_range(Key{node.device, node.number});
  for (auto it = begin; it != end; ++it) {
    if (it->second.get() != &node) continue;
    nodes_.erase(it);
    return;
  }
}

}  // namespace dedupfs
