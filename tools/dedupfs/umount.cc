#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "chunkstore/base/error.h"
#include "control/client.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/mount_table.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/store_lock.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {
namespace {

// The mount of a daemon that was killed: nothing in it can be used, so nothing is lost with what
// still holds it open.
bool IsDead(const std::string& mountpoint) {
  struct statfs info {};  // the kernel answers stat(2) from its cache
  return ::statfs(mountpoint.c_str(), &info) != 0 && errno == ENOTCONN;
}

// For users other than root, who may not call umount2(2).
Status UnmountByHelper(const std::string& mountpoint, bool dead) {
  std::string program = "fusermount3", flags = dead ? "-uz" : "-u", separator = "--";
  std::string path = mountpoint;
  std::array<char*, 5> arguments{program.data(), flags.data(), separator.data(), path.data(),
                                 nullptr};
  pid_t pid = 0;
  const int code =
      ::posix_spawnp(&pid, program.c_str(), nullptr, nullptr, arguments.data(), ::environ);
  if (code != 0) {
    errno = code;
    return FailErrno("fusermount3");
  }
  int wait_status = 0;
  while (::waitpid(pid, &wait_status, 0) < 0) {
    if (errno != EINTR) return FailErrno("fusermount3");
  }
  if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0) return Ok();
  return Fail(EBUSY, mountpoint + ": fusermount3 could not unmount it");
}

Status Unmount(const std::string& mountpoint) {
  const bool dead = IsDead(mountpoint);
  if (::geteuid() != 0) return UnmountByHelper(mountpoint, dead);
  const int flags = UMOUNT_NOFOLLOW | (dead ? MNT_DETACH : 0);
  if (::umount2(mountpoint.c_str(), flags) == 0) return Ok();
  if (errno == EBUSY) {
    return Fail(EBUSY, mountpoint + ": busy: some process has a file or its directory there");
  }
  return FailErrno(mountpoint);
}

// What cannot be made durable would be lost with the mount, so the mount stays. A daemon that
// cannot be asked (another user's) is not waited for.
Status SyncBefore(const MountEntry& mount) {
  if (IsDead(mount.mountpoint)) return Ok();
  Result<ControlClient> client = ControlClient::Connect(mount.source);
  if (!client) return Ok();
  // The pages that the kernel still holds, first. Its answer is not asked: it tells of the first
  // error since the mount that nobody has seen, also of files that are gone since.
  const int fd = ::open(mount.mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    static_cast<void>(::syncfs(fd));
    ::close(fd);
  }
  const auto synced = client->Call("sync", nlohmann::json::object());
  if (synced) return Ok();
  return Fail(synced.error().code,
              mount.mountpoint + " stays mounted: not all changes can be made durable: " +
                  synced.error().message + " (--force unmounts and loses them)");
}

// Where the lock is not ours to open, it cannot wait.
Status WaitForDaemon(const MountEntry& mount, const UmountCommand& command) {
  Status waited = WaitForStoreLock(mount.source, command.timeout_s);
  if (waited || waited.error().code == ETIMEDOUT) return waited;
  PrintMessage("unmounted, but cannot wait for the daemon's end: " + waited.error().message);
  return Ok();
}

}  // namespace

ExitCode Run(const UmountCommand& command) {
  const Result<std::string> target = AbsolutePath(command.target);
  if (!target) return Explain(target.error(), kExitFailure, command.json);
  const Result<std::optional<MountEntry>> mount = FindMount(*target);
  if (!mount) return Explain(mount.error(), kExitFailure, command.json);
  if (!*mount) {
    return Explain({EINVAL, *target + ": neither a mounted store nor its mount point"},
                   kExitFailure, command.json);
  }
  if (const Status synced = command.force ? Ok() : SyncBefore(**mount); !synced) {
    return Explain(synced.error(), kExitFailure, command.json);
  }
  if (const Status done = Unmount((*mount)->mountpoint); !done) {
    return Explain(done.error(), kExitFailure, command.json);
  }
  if (const Status ended = WaitForDaemon(**mount, command); !ended) {
    return Explain(ended.error(), kExitFailure, command.json);
  }
  if (command.json) {
    PrintJson({{"store", (*mount)->source}, {"mountpoint", (*mount)->mountpoint}});
  } else {
    PrintLine("unmounted " + (*mount)->mountpoint);
  }
  return kExitOk;
}

}  // namespace dedupfs
