// Preloaded into a program, makes calls on the database and the packs of a store fail with EIO, or
// ends the program at one of its renames.
//
// DEDUPFS_FAIL_STORE    the store's directory
// DEDUPFS_FAIL_CONTROL  a file of two little-endian u32 that may change at any time: which calls
//                       fail (bits: 1 reads, 2 writes, 4 syncs), and how many did so far
// DEDUPFS_KILL_RENAME   N: the Nth rename in the store is not made; the program is killed instead

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

enum : uint32_t { kReads = 1, kWrites = 2, kSyncs = 4 };

struct Control {
  std::atomic<uint32_t> failing;
  std::atomic<uint32_t> failed;
};

Control* MapControl() {
  const char* const path = std::getenv("DEDUPFS_FAIL_CONTROL");
  if (path == nullptr) return nullptr;
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return nullptr;
  void* const place = ::mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  return place == MAP_FAILED ? nullptr : static_cast<Control*>(place);
}

std::string_view Store() {
  const char* const store = std::getenv("DEDUPFS_FAIL_STORE");
  return store == nullptr ? std::string_view() : std::string_view(store);
}

// Not the log for humans, nor the settings.
bool HoldsData(std::string_view path) {
  const std::string_view store = Store();
  if (store.empty() || !path.starts_with(store)) return false;
  path.remove_prefix(store.size());
  return path.starts_with("/db") || path.starts_with("/packs");
}

bool Fails(int fd, uint32_t kind) {
  static Control* const control = MapControl();
  if (control == nullptr || (control->failing.load() & kind) == 0) return false;
  char link[64];
  char path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = ::readlink(link, path, sizeof path);
  if (size < 0 || !HoldsData({path, static_cast<size_t>(size)})) return false;
  ++control->failed;
  errno = EIO;
  return true;
}

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void MayEndHere(const char* from) {
  static std::atomic<long> renames{0};
  const char* const nth = std::getenv("DEDUPFS_KILL_RENAME");
  const std::string_view path(from);
  if (nth == nullptr || Store().empty() || !path.starts_with(Store())) return;
  if (++renames == std::atol(nth)) ::kill(::getpid(), SIGKILL);
}

}  // namespace

extern "C" {

ssize_t pread(int fd, void* data, size_t size, off_t offset) {
  if (Fails(fd, kReads)) return -1;
  return ::syscall(SYS_pread64, fd, data, size, offset);
}
ssize_t pread64(int fd, void* data, size_t size, off64_t offset) {
  return pread(fd, data, size, offset);
}
ssize_t write(int fd, const void* data, size_t size) {
  if (Fails(fd, kWrites)) return -1;
  return ::syscall(SYS_write, fd, data, size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) {
  if (Fails(fd, kWrites)) return -1;
  return ::syscall(SYS_pwrite64, fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) {
  return pwrite(fd, data, size, offset);
}
ssize_t writev(int fd, const struct iovec* pieces, int count) {
  if (Fails(fd, kWrites)) return -1;
  return ::syscall(SYS_writev, fd, pieces, count);
}
ssize_t pwritev(int fd, const struct iovec* pieces, int count, off_t offset) {
  using Call = ssize_t(int, const struct iovec*, int, off_t);
  static Call* const next = Next<Call>("pwritev");
  if (Fails(fd, kWrites)) return -1;
  return next(fd, pieces, count, offset);
}
ssize_t pwritev64(int fd, const struct iovec* pieces, int count, off64_t offset) {
  return pwritev(fd, pieces, count, offset);
}
int fsync(int fd) { return Fails(fd, kSyncs) ? -1 : static_cast<int>(::syscall(SYS_fsync, fd)); }
int fdatasync(int fd) {
  return Fails(fd, kSyncs) ? -1 : static_cast<int>(::syscall(SYS_fdatasync, fd));
}
int rename(const char* from, const char* to) noexcept {
  MayEndHere(from);
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

}  // extern "C"
