// dedupfs_passthrough DIRECTORY MOUNTPOINT: a bare FUSE file system that forwards every request to
// a directory, with the FUSE settings of fs/fuse/init_capabilities.cc. It is the floor that
// `dedupfs` is measured against: what remains between the two is ours.
//
// It serves benchmarks, and only its own user: new files belong to the user that runs it.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>

#include "chunkstore/base/error.h"
#include "fs/fuse/device_io.h"
#include "fs/fuse/lowlevel.h"
#include "fs/fuse/mount_point.h"
#include "tools/bench/passthrough_handlers.h"
#include "tools/bench/passthrough_nodes.h"

namespace dedupfs {
namespace {

constexpr unsigned kRequestBytes = 1 << 20;
constexpr unsigned kMaxBackground = 64;
constexpr unsigned kCongestionThreshold = 48;
constexpr unsigned kMinWorkers = 8;

constexpr unsigned kWanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_ATOMIC_O_TRUNC |
                             FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_DONT_MASK | FUSE_CAP_POSIX_ACL |
                             FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
                             FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS |
                             FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE;
constexpr unsigned kUnwanted = FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_AUTO_INVAL_DATA |
                               FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                               FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_IOCTL_DIR;

void Init(void*, fuse_conn_info* connection) {
  connection->want &= ~kUnwanted;
  connection->want |= kWanted & connection->capable;
  connection->max_write = std::min(connection->max_write, kRequestBytes);
  connection->max_read = kRequestBytes;
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kCongestionThreshold;
  connection->time_gran = 1;
}

// What is left out the kernel never asks for twice: flush, access, locks.
fuse_lowlevel_ops Handlers() {
  fuse_lowlevel_ops ops = {};
  ops.init = Init;
  SetPassthroughNameHandlers(ops);
  SetPassthroughContentHandlers(ops);
  SetPassthroughXattrHandlers(ops);
  return ops;
}

void AllowManyDescriptors() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

ssize_t ReadDevice(int fd, void* buffer, size_t size, void* state) {
  return static_cast<PassthroughState*>(state)->device_io.Read(fd, buffer, size);
}

ssize_t WriteDevice(int fd, iovec* pieces, int count, void* state) {
  return static_cast<PassthroughState*>(state)->device_io.Write(fd, pieces, count);
}

// The readahead and the flag of INIT that libfuse has no words for, as FuseSession.
int UseDeviceIo(fuse_session* session, const std::string& mountpoint) {
  if (::geteuid() == 0) {
    if (const Status set = SetReadahead(MountAt(mountpoint), kReadaheadKib); !set) {
      std::fprintf(stderr, "readahead: %s\n", set.error().message.c_str());
    }
  }
  fuse_custom_io io = {};
  io.read = ReadDevice;
  io.writev = WriteDevice;
  return fuse_session_custom_io(session, &io, fuse_session_fd(session));
}

int Serve(fuse_session* session) {
  fuse_loop_config* config = fuse_loop_cfg_create();
  const unsigned workers = std::max(kMinWorkers, 2 * std::thread::hardware_concurrency());
  fuse_loop_cfg_set_max_threads(config, workers);
  fuse_loop_cfg_set_idle_threads(config, workers);
  fuse_loop_cfg_set_clone_fd(config, 0);
  const int result = fuse_session_loop_mt(session, config);
  fuse_loop_cfg_destroy(config);
  return result < 0 ? 1 : 0;
}

int Run(const char* directory, const char* mountpoint) {
  const Result<std::string> absolute = CheckMountPoint(mountpoint);
  if (!absolute) {
    std::fprintf(stderr, "%s\n", absolute.error().message.c_str());
    return 1;
  }
  const int root = ::open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) {
    std::perror(directory);
    return 1;
  }
  AllowManyDescriptors();
  PassthroughState state(root);
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&args, "dedupfs_passthrough");
  fuse_opt_add_arg(&args, "-o");
  fuse_opt_add_arg(&args, ::geteuid() == 0
                              ? "subtype=passthrough,default_permissions,max_read=1048576,"
                                "allow_other,dev,suid"
                              : "subtype=passthrough,default_permissions,max_read=1048576");
  const fuse_lowlevel_ops ops = Handlers();
  fuse_session* session = fuse_session_new(&args, &ops, sizeof(ops), &state);
  fuse_opt_free_args(&args);
  if (session == nullptr) return 1;
  int result = 1;
  if (fuse_set_signal_handlers(session) == 0) {
    if (fuse_session_mount(session, absolute->c_str()) == 0) {
      if (UseDeviceIo(session, *absolute) == 0) result = Serve(session);
      fuse_session_unmount(session);
    }
    fuse_remove_signal_handlers(session);
  }
  fuse_session_destroy(session);
  return result;
}

}  // namespace
}  // namespace dedupfs

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s DIRECTORY MOUNTPOINT\n", argv[0]);
    return 2;
  }
  return dedupfs::Run(argv[1], argv[2]);
}
