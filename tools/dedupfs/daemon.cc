#include "tools/dedupfs/daemon.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "chunkstore/base/config.h"
#include "chunkstore/base/error.h"
#include "chunkstore/base/log.h"
#include "control/operations.h"
#include "control/server.h"
#include "fs/file_system.h"
#include "fs/fuse/session.h"
#include "fs/request_watchdog.h"
#include "tools/dedupfs/background.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/mount_table.h"
#include "tools/dedupfs/store_lock.h"
#include "tools/dedupfs/termination.h"

namespace dedupfs {
namespace {

constexpr uint32_t kPreviousDaemonTimeoutS = 10;

void RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) LogWarn("file_limit_not_raised");
}

// umount(8) may return before the daemon has ended. So a store that is in use and not mounted is
// about to be free.
Result<std::unique_ptr<FileSystem>> OpenStore(const std::string& store, bool read_only,
                                              const ReportProgress& progress) {
  MountOptions options;
  options.read_only = read_only;
  options.replay_progress = progress;
  auto opened = FileSystem::Open(store, options);
  if (opened || opened.error().code != EBUSY) return opened;
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<MountEntry> mount, FindMount(store));
  if (mount) return Fail(EBUSY, store + ": in use: it is mounted on " + mount->mountpoint);
  LogInfo("waiting_for_previous_daemon");
  if (const Status freed = WaitForStoreLock(store, kPreviousDaemonTimeoutS); !freed) {
    return Fail(EBUSY, store + ": in use by another process");
  }
  return FileSystem::Open(store, options);
}

// Who reads is not to be waited for at each block of a log.
ReportProgress NowAndThen(const ReportProgress& progress) {
  if (!progress) return progress;
  auto next = std::make_shared<std::chrono::steady_clock::time_point>();
  return [progress, next](uint64_t done, uint64_t total) {
    const auto now = std::chrono::steady_clock::now();
    if (now < *next) return;
    *next = now + std::chrono::milliseconds(100);
    progress(done, total);
  };
}

ExitCode MountExitCode(const Error& error) {
  return error.code == ENODEV ? kExitNoFuse : kExitMountPoint;
}

SessionOptions MakeSessionOptions(const DaemonOptions& options) {
  SessionOptions session;
  session.mountpoint = options.mountpoint;
  session.source = options.store;
  session.read_only = options.mount.read_only;
  session.writeback_cache = options.mount.writeback_cache;
  if (options.mount.allow_other) session.allow_other = true;
  session.debug = options.debug;
  session.kernel_options = options.mount.kernel;
  return session;
}

std::unique_ptr<ControlServer> StartControl(FileSystem& file_system, const FuseSession& session,
                                            const DaemonOptions& options) {
  DaemonInfo info{options.store,           options.mountpoint,
                  DedupfsVersion(),        ::getpid(),
                  options.mount.read_only, [&session] { return session.requests().List(); }};
  auto server = ControlServer::Start(options.store, [&file_system, info](const Frame& request) {
    return AnswerRequest(file_system, info, request);
  });
  if (server) return std::move(*server);
  // The mount is of use without it: a store on a read-only disk cannot hold a socket.
  LogWarn("control_socket_unavailable", server.error().message);
  return nullptr;
}

// Serves until the mount is gone. Whatever fails then, the store is still closed by the caller.
Status RunSession(FileSystem& file_system, FuseSession& session, const DaemonOptions& options,
                  uint64_t request_warn_ms, const ReportStart& report) {
  const Termination termination([&session] { session.Stop(); });
  std::optional<RequestWatchdog> watchdog;
  if (request_warn_ms > 0) watchdog.emplace(session.requests(), request_warn_ms);
  const std::unique_ptr<ControlServer> control = StartControl(file_system, session, options);
  LogInfo("mounted", "read_only=" + std::to_string(options.mount.read_only ? 1 : 0));
  report({kExitOk, {}});
  Status served = session.Run();
  file_system.StopLongWork();  // the control socket ends only when its requests have
  return served;
}

Result<Config> ApplyConfig(const DaemonOptions& options) {
  DEDUPFS_ASSIGN_OR_RETURN(Config config, LoadConfig(options.store + "/dedupfs.toml"));
  SetLogLevel(config.log_level);
  if (!options.log_path.empty() && !SetLogFile(options.log_path)) {
    return FailErrno(options.log_path);
  }
  return config;
}

}  // namespace

ExitCode Serve(const DaemonOptions& options, const ReportStart& report,
               const ReportProgress& progress) {
  const auto fail = [&report](ExitCode exit_code, const Error& error) {
    LogError("mount_failed", error.message);
    report({exit_code, error});
    return exit_code;
  };
  ::umask(S_IRWXG | S_IRWXO);  // what the store holds is its user's own business
  RaiseFileLimit();
  Termination::Block();
  const Result<Config> config = ApplyConfig(options);
  if (!config) return fail(kExitFailure, config.error());
  auto opened = OpenStore(options.store, options.mount.read_only, NowAndThen(progress));
  if (!opened) return fail(StoreExitCode(opened.error()), opened.error());
  const std::unique_ptr<FileSystem> file_system = std::move(*opened);
  auto mounted = FuseSession::Mount(*file_system, MakeSessionOptions(options));
  if (!mounted) return fail(MountExitCode(mounted.error()), mounted.error());
  const Status served =
      RunSession(*file_system, **mounted, options, config->request_warn_ms, report);
  if (!served) LogError("session_failed", served.error().message);
  mounted->reset();
  const Status closed = file_system->Close();
  if (!closed) LogError("close_failed", closed.error().message);
  LogInfo("unmounted", closed ? "clean=1" : "clean=0");
  return served && closed ? kExitOk : kExitFailure;
}

}  // namespace dedupfs
