#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "fs/store_directory.h"
#include "tools/dedupfs/background.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/daemon.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/mount_options.h"
#include "tools/dedupfs/mount_table.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/phase_progress.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {
namespace {

constexpr const char* kLogName = "/dedupfs.log";

StartReport Refuse(ExitCode exit_code, const Error& error) { return {exit_code, error}; }

std::optional<StartReport> CheckMountPoint(const std::string& mountpoint) {
  struct stat info {};
  if (::stat(mountpoint.c_str(), &info) != 0) {
    if (errno == ENOTCONN) {
      return Refuse(
          kExitMountPoint,
          {ENOTCONN, "mount point " + mountpoint +
                         ": the daemon of an earlier mount has died; run `dedupfs umount " +
                         mountpoint + "` first"});
    }
    return Refuse(kExitMountPoint, FailErrno("mount point " + mountpoint).value());
  }
  if (!S_ISDIR(info.st_mode)) {
    return Refuse(kExitMountPoint, {ENOTDIR, "mount point " + mountpoint + ": is no directory"});
  }
  const Result<std::optional<MountEntry>> mount = FindMount(mountpoint);
  if (mount && *mount && (*mount)->mountpoint == mountpoint) {
    return Refuse(kExitMountPoint, {EBUSY, "mount point " + mountpoint + ": " + (*mount)->source +
                                               " is mounted there already"});
  }
  return std::nullopt;
}

std::optional<StartReport> CheckFuse() {
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return Refuse(kExitNoFuse, {ENODEV, FailErrno("/dev/fuse").value().message +
                                            " (is the kernel module `fuse` loaded?)"});
  }
  ::close(fd);
  return std::nullopt;
}

// Fills in `options`, or tells what is wrong with the command.
std::optional<StartReport> Prepare(const MountCommand& command, DaemonOptions& options) {
  const Result<MountOptionSet> parsed = ParseMountOptions(command.options);
  if (!parsed) return Refuse(kExitUsage, parsed.error());
  options.mount = *parsed;
  options.debug = command.debug;
  const Result<std::string> store = AbsolutePath(command.store);
  if (!store) return Refuse(kExitNoStore, {store.error().code, "store " + store.error().message});
  options.store = *store;
  // Before a log is begun in a directory that is none of ours.
  if (::access((*store + "/format").c_str(), F_OK) != 0 && errno != EACCES) {
    return Refuse(kExitNoStore, StoreDirectory::NoStore(PosixEnv(), *store));
  }
  const Result<std::string> mountpoint = AbsolutePath(command.mountpoint);
  if (!mountpoint) {
    return Refuse(kExitMountPoint,
                  {mountpoint.error().code, "mount point " + mountpoint.error().message});
  }
  options.mountpoint = *mountpoint;
  if (IsInside(*mountpoint, *store) || IsInside(*store, *mountpoint)) {
    return Refuse(kExitMountPoint, {EINVAL, "mount point " + *mountpoint + ": the store " + *store +
                                                " must not lie inside of it, nor it in the store"});
  }
  if (auto refusal = CheckMountPoint(*mountpoint)) return refusal;
  return CheckFuse();
}

// The kernel's own answer, which comes through the daemon.
Status WaitUntilMountAnswers(const std::string& mountpoint) {
  struct statfs info {};
  if (::statfs(mountpoint.c_str(), &info) != 0) return FailErrno("mount point " + mountpoint);
  if (static_cast<uint64_t>(info.f_type) != FUSE_SUPER_MAGIC) {
    return Fail(EIO, "mount point " + mountpoint + ": nothing is mounted there after all");
  }
  return Ok();
}

void TellMounted(const DaemonOptions& options, pid_t pid, bool json) {
  if (json) {
    PrintJson({{"store", options.store}, {"mountpoint", options.mountpoint}, {"pid", pid}});
  } else {
    PrintLine("mounted " + options.store + " on " + options.mountpoint);
  }
}

// What a mount may take long for. It is shown only where there is a log to replay.
class ReplayDisplay {
 public:
  void Show(uint64_t done, uint64_t total) {
    progress_.Show("replay of the log", ProgressUnit::kBytes, done, total);
  }
  void Clear() { progress_.Clear(); }

 private:
  PhaseProgress progress_;
};

ExitCode MountInForeground(const DaemonOptions& options, bool json) {
  ReplayDisplay display;
  const auto progress = [&display](uint64_t done, uint64_t total) { display.Show(done, total); };
  const auto report_start = [&](const StartReport& report) {
    display.Clear();
    if (report.exit_code == kExitOk) {
      TellMounted(options, ::getpid(), json);
    } else {
      Explain(report.error, report.exit_code, json);
    }
  };
  return Serve(options, report_start, progress);
}

ExitCode MountInBackground(const DaemonOptions& options, bool json) {
  ReplayDisplay display;
  const Result<BackgroundProcess> process = RunInBackground(
      options.log_path,
      [&options](const ReportStart& report, const ReportProgress& progress) {
        return Serve(options, report, progress);
      },
      [&display](uint64_t done, uint64_t total) { display.Show(done, total); });
  display.Clear();
  if (!process) return Explain(process.error(), kExitFailure, json);
  if (process->report.exit_code != kExitOk) {
    return Explain(process->report.error, process->report.exit_code, json);
  }
  if (const Status answers = WaitUntilMountAnswers(options.mountpoint); !answers) {
    return Explain({answers.error().code, answers.error().message + "; see " + options.log_path},
                   kExitFailure, json);
  }
  TellMounted(options, process->pid, json);
  return kExitOk;
}

}  // namespace

ExitCode Run(const MountCommand& command) {
  DaemonOptions options;
  if (const auto refusal = Prepare(command, options)) {
    return Explain(refusal->error, refusal->exit_code, command.json);
  }
  if (command.foreground) return MountInForeground(options, command.json);
  options.log_path = options.store + kLogName;
  return MountInBackground(options, command.json);
}

}  // namespace dedupfs
