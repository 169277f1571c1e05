#include "fs/fuse/writeback.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "chunkstore/base/log.h"

namespace dedupfs {
namespace {

// False where the file cannot be reached: it was unlinked, or its directories are closed to us.
bool SyncByPath(const std::string& path, Ino ino, int root_fd) {
  const size_t start = path.find_first_not_of('/');
  if (start == std::string::npos) return false;
  const int fd =
      ::openat(root_fd, path.c_str() + start, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  struct stat status = {};
  const bool same = ::fstat(fd, &status) == 0 && status.st_ino == ino;
  if (same && ::fsync(fd) != 0) {
    LogError("fuse_writeback_failed",
             "ino=" + std::to_string(ino) + " error=" + std::strerror(errno));
  }
  ::close(fd);
  return same;
}

}  // namespace

// syncfs(2) does not wait for a FUSE file system's pages. fsync does, in large requests; dropping
// the pages of the inode does too, one page at a time, and needs no path.
void WriteBackDirtyPages(SessionState& state, int root_fd) {
  if (!state.writeback_cache) return;
  for (const Ino ino : state.handles.InodesOpenForWriting()) {
    if (SyncByPath(state.fs.PathOf(ino), ino, root_fd)) continue;
    const int result = fuse_lowlevel_notify_inval_inode(state.session, ino, 0, 0);
    if (result != 0 && result != -ENOENT) {
      LogError("fuse_writeback_failed",
               "ino=" + std::to_string(ino) + " error=" + std::strerror(-result));
    }
  }
}

}  // namespace dedupfs
