// Preloaded into a program, makes its syncs do nothing but say that they did: what a power cut then
// loses, a test of power cuts has to find.
//
// Syncs of a FUSE mount are let through, so that only the daemon's own, on the disk, are lies.

#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace {

int SyncIfFuse(long call, int fd) {
  struct statfs info {};
  if (::fstatfs(fd, &info) == 0 && static_cast<unsigned long>(info.f_type) != FUSE_SUPER_MAGIC) {
    return 0;
  }
  return static_cast<int>(::syscall(call, fd));
}

}  // namespace

extern "C" {

int fsync(int fd) { return SyncIfFuse(SYS_fsync, fd); }
int fdatasync(int fd) { return SyncIfFuse(SYS_fdatasync, fd); }
int sync_file_range(int /*fd*/, off64_t /*offset*/, off64_t /*size*/, unsigned /*flags*/) {
  return 0;
}

}  // extern "C"
