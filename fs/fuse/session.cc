#include "fs/fuse/session.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <thread>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/base/mutex.h"
#include "fs/fuse/mount_point.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/session_arguments.h"
#include "fs/fuse/session_state.h"
#include "fs/fuse/writeback.h"

namespace dedupfs {
namespace {

constexpr unsigned kMinWorkers = 8;  // one may wait for the disk while others take writes
constexpr std::chrono::milliseconds kWakeInterval{20};

thread_local std::string last_libfuse_message;

void LogFromLibfuse(fuse_log_level level, const char* format, va_list arguments) {
  char text[1024];
  std::vsnprintf(text, sizeof(text), format, arguments);
  std::string message = text;
  while (!message.empty() && message.back() == '\n') message.pop_back();
  if (level <= FUSE_LOG_ERR) {
    last_libfuse_message = message;
    LogWarn("libfuse", message);
  } else {
    LogInfo("libfuse", message);
  }
}

ssize_t ReadDevice(int fd, void* buffer, size_t size, void* state) {
  return static_cast<SessionState*>(state)->device_io.Read(fd, buffer, size);
}

ssize_t WriteDevice(int fd, iovec* pieces, int count, void* state) {
  return static_cast<SessionState*>(state)->device_io.Write(fd, pieces, count);
}

// Interrupts the wait of libfuse's main loop, which nothing else does without a request.
int WakeSignal() { return SIGRTMIN + 3; }

void PrepareWakeSignal() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  ::sigaction(WakeSignal(), &action, nullptr);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, WakeSignal());
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

// Ends the connection: what waits for an answer gets ECONNABORTED or ENOTCONN. The number of the
// descriptor stays taken, by a /dev/fuse that is mounted nowhere, as libfuse goes on using it.
void DropConnection(int fd) {
  const int unmounted = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (unmounted < 0) return;
  ::dup2(unmounted, fd);
  ::close(unmounted);
}

}  // namespace

struct FuseSession::Parts {
  Parts(FileSystem& fs, const SessionOptions& options) : state(fs, options) {}

  SessionState state;
  std::string mountpoint;
  MountEntry mount;

  Mutex mutex;
  CondVar changed;
  enum class Phase { kMounted, kRunning, kEnded } phase GUARDED_BY(mutex) = Phase::kMounted;
  bool stop_asked GUARDED_BY(mutex) = false;
  bool stop_uses_session GUARDED_BY(mutex) = false;
  pthread_t runner GUARDED_BY(mutex) = {};

  Status Open();
  bool IsMounted() const { return MountAt(mountpoint) == mount; }
  void WriteBackAndDetach();
  void Unmount();
};

Status FuseSession::Parts::Open() {
  DEDUPFS_ASSIGN_OR_RETURN(const std::string arguments,
                           SessionArguments(state.options, ::geteuid() == 0));
  fuse_args args = FUSE_ARGS_INIT(0, nullptr);
  fuse_opt_add_arg(&args, "dedupfs");
  fuse_opt_add_arg(&args, "-o");
  fuse_opt_add_arg(&args, arguments.c_str());
  const fuse_lowlevel_ops ops = AllHandlers();
  last_libfuse_message.clear();
  state.session = fuse_session_new(&args, &ops, sizeof(ops), &state);
  fuse_opt_free_args(&args);
  if (state.session == nullptr) {
    return Fail(EINVAL, "libfuse refuses the mount options: " + last_libfuse_message);
  }
  errno = 0;
  if (fuse_session_mount(state.session, mountpoint.c_str()) != 0) {
    const int code = errno == 0 ? EPERM : errno;
    return Fail(code, "mounting on " + mountpoint + " failed: " + last_libfuse_message);
  }
  mount = MountAt(mountpoint);
  if (::geteuid() == 0) {  // before the reply to INIT, which can only lower it
    if (const Status set = SetReadahead(mount, kReadaheadKib); !set) {
      LogWarn("fuse_readahead_not_set", set.error().message);
    }
  }
  fuse_custom_io io = {};
  io.read = ReadDevice;
  io.writev = WriteDevice;
  const int result = fuse_session_custom_io(state.session, &io, fuse_session_fd(state.session));
  if (result != 0) return Fail(-result, "libfuse refuses to let the daemon read /dev/fuse");
  return Ok();
}

void FuseSession::Parts::WriteBackAndDetach() {
  const int root = ::open(mountpoint.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root >= 0 && IsMounted()) {
    WriteBackDirtyPages(state, root);
    if (Status detached = DetachMount(mountpoint); !detached) {
      LogError("fuse_detach_failed", detached.error().message);
    }
    WriteBackDirtyPages(state, root);  // what was written until the mount was out of the tree
  }
  if (root >= 0) ::close(root);
  state.invalidation.Finish();
}

// Nobody serves requests any more, so nothing here may cause one: first the connection goes.
void FuseSession::Parts::Unmount() {
  if (state.session == nullptr) return;
  if (fuse_session_fd(state.session) >= 0) DropConnection(fuse_session_fd(state.session));
  state.invalidation.Finish();
  if (!mountpoint.empty() && !mount.type.empty() && IsMounted()) {
    if (Status detached = DetachMount(mountpoint); !detached) {
      LogError("fuse_detach_failed", detached.error().message);
    }
  }
  fuse_session_unmount(state.session);  // sees the dead descriptor, and unmounts nothing
  fuse_session_destroy(state.session);
  state.session = nullptr;
}

FuseSession::FuseSession(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

FuseSession::~FuseSession() { parts_->Unmount(); }

Result<std::unique_ptr<FuseSession>> FuseSession::Mount(FileSystem& file_system,
                                                        const SessionOptions& options) {
  fuse_set_log_func(LogFromLibfuse);
  DEDUPFS_RETURN_IF_ERROR(CheckFuseDevice());
  DEDUPFS_ASSIGN_OR_RETURN(std::string mountpoint, CheckMountPoint(options.mountpoint));
  auto parts = std::make_unique<Parts>(file_system, options);
  parts->mountpoint = std::move(mountpoint);
  std::unique_ptr<FuseSession> session(new FuseSession(std::move(parts)));
  DEDUPFS_RETURN_IF_ERROR(session->parts_->Open());
  return session;
}

Status FuseSession::Run() {
  Parts& parts = *parts_;
  bool serve = false;
  {
    MutexLock lock(parts.mutex);
    serve = !parts.stop_asked;
    if (serve) {
      parts.phase = Parts::Phase::kRunning;
      parts.runner = ::pthread_self();
      PrepareWakeSignal();
    }
  }
  int result = 0;
  if (serve) {
    fuse_loop_config* config = fuse_loop_cfg_create();
    const unsigned workers = std::max(kMinWorkers, 2 * std::thread::hardware_concurrency());
    fuse_loop_cfg_set_max_threads(config, workers);
    fuse_loop_cfg_set_idle_threads(config, workers);
    fuse_loop_cfg_set_clone_fd(config, 0);
    result = fuse_session_loop_mt(parts.state.session, config);
    fuse_loop_cfg_destroy(config);
  }
  // Frees a Stop() or a waiting system call that still hopes for an answer.
  DropConnection(fuse_session_fd(parts.state.session));
  {
    MutexLock lock(parts.mutex);
    parts.phase = Parts::Phase::kEnded;
    parts.changed.NotifyAll();
    while (parts.stop_uses_session) parts.changed.Wait(lock);
  }
  parts.Unmount();
  if (result < 0) return Fail(-result, "the connection to the kernel failed");
  return Ok();
}

void FuseSession::Stop() {
  Parts& parts = *parts_;
  {
    MutexLock lock(parts.mutex);
    const bool first = !std::exchange(parts.stop_asked, true);
    if (parts.phase == Parts::Phase::kMounted) return;
    if (!first || parts.phase == Parts::Phase::kEnded) {
      while (parts.phase != Parts::Phase::kEnded) parts.changed.Wait(lock);
      return;
    }
    parts.stop_uses_session = true;
  }
  parts.WriteBackAndDetach();
  MutexLock lock(parts.mutex);
  parts.stop_uses_session = false;
  parts.changed.NotifyAll();
  if (parts.phase == Parts::Phase::kEnded) return;
  fuse_session_exit(parts.state.session);
  while (parts.phase != Parts::Phase::kEnded) {
    // Again and again: a signal that comes just before the loop waits is lost.
    ::pthread_kill(parts.runner, WakeSignal());
    parts.changed.WaitUntil(lock, std::chrono::steady_clock::now() + kWakeInterval);
  }
}

const RequestCounters& FuseSession::counters() const { return parts_->state.counters; }

const RequestTable& FuseSession::requests() const { return parts_->state.requests; }

}  // namespace dedupfs
