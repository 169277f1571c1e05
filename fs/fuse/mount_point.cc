#include "fs/fuse/mount_point.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace dedupfs {
namespace {

// In /proc/self/mountinfo blanks and backslashes stand as \ooo.
std::string Unescaped(std::string_view field) {
  std::string out;
  out.reserve(field.size());
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      out += static_cast<char>((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 +
                               (field[i + 3] - '0'));
      i += 3;
    } else {
      out += field[i];
    }
  }
  return out;
}

}  // namespace

MountEntry MountAt(const std::string& absolute_path) {
  std::ifstream mounts("/proc/self/mountinfo");
  MountEntry found;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id;
    std::string parent;
    std::string device;
    std::string root;
    std::string mountpoint;
    fields >> id >> parent >> device >> root >> mountpoint;
    std::string field;
    while (fields >> field && field != "-") {
    }
    if (fields >> field && Unescaped(mountpoint) == absolute_path) found = {field, device};
  }
  return found;
}

Result<std::string> CheckMountPoint(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOTCONN) {
      return Fail(ENOTCONN, path +
                                ": a file system whose daemon has died is still mounted here; "
                                "unmount it first: umount " +
                                path);
    }
    return FailErrno("mount point " + path);
  }
  if (!S_ISDIR(status.st_mode)) return Fail(ENOTDIR, "mount point " + path + ": not a directory");
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return FailErrno("mount point " + path);
  std::string absolute = resolved;
  std::free(resolved);
  if (MountAt(absolute).type == "fuse.dedupfs") {
    return Fail(EBUSY, "mount point " + path + ": a DedupFS is mounted there already");
  }
  return absolute;
}

Status CheckFuseDevice() {
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
    return Ok();
  }
  if (errno == EACCES || errno == EPERM) {
    return Fail(errno, "/dev/fuse: no permission to open it");
  }
  return Fail(ENODEV,
              "/dev/fuse is missing or unusable: load the kernel module fuse, or give this "
              "container the device");
}

Status SetReadahead(const MountEntry& mount, unsigned kibibytes) {
  const std::string path = "/sys/class/bdi/" + mount.device + "/read_ahead_kb";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return FailErrno(path);
  const std::string value = std::to_string(kibibytes);
  const bool written =
      ::write(fd, value.data(), value.size()) == static_cast<ssize_t>(value.size());
  Status status = written ? Ok() : Status(FailErrno(path));
  ::close(fd);
  return status;
}

Status DetachMount(const std::string& mountpoint) {
  if (::geteuid() == 0) {
    if (::umount2(mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return Ok();
    return FailErrno("unmount " + mountpoint);
  }
  std::string path = mountpoint;
  std::string program = "fusermount3";
  std::string unmount = "-u";
  std::string lazily = "-z";
  std::string end = "--";
  std::array<char*, 6> arguments = {program.data(), unmount.data(), lazily.data(),
                                    end.data(),     path.data(),    nullptr};
  pid_t child = 0;
  const int error =
      ::posix_spawnp(&child, "fusermount3", nullptr, nullptr, arguments.data(), environ);
  if (error != 0) return Fail(error, "cannot run fusermount3");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno("fusermount3");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Ok();
  return Fail(EBUSY, "fusermount3 could not unmount " + mountpoint);
}

}  // namespace dedupfs
