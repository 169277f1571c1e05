#include "tools/dedupfs/export_attributes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <string>
#include <vector>

namespace dedupfs {
namespace {

constexpr Time kNanosPerSecond = 1'000'000'000;
constexpr uint32_t kPermissions = 07777;
constexpr uint32_t kSetIdBits = S_ISUID | S_ISGID;

timespec ToTimespec(Time time) {
  Time second = time / kNanosPerSecond;
  Time nanos = time % kNanosPerSecond;
  if (nanos < 0) {  // before 1970
    nanos += kNanosPerSecond;
    --second;
  }
  return {static_cast<time_t>(second), static_cast<long>(nanos)};
}

void ApplyXattrs(FileSystem& file_system, Ino ino, const ExportPlace& place,
                 const std::function<void(const Error&)>& lost) {
  const auto names = file_system.ListXattrs(ino);
  if (!names) return lost(names.error());
  // There is no lsetxattrat(2).
  const std::string path = "/proc/self/fd/" + std::to_string(place.directory) + "/" + place.name;
  for (const std::string& name : *names) {
    const auto value = file_system.GetXattr(ino, name);
    if (!value) {
      lost(value.error());
    } else if (::lsetxattr(path.c_str(), name.c_str(), value->data(), value->size(), 0) != 0) {
      lost(FailErrno("xattr " + name).value());
    }
  }
}

// Of what the name is, never of what a link in its place leads to.
bool ChangeMode(const ExportPlace& place, uint32_t mode) {
  const int fd = ::openat(place.directory, place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  struct stat info {};
  const bool is_link = ::fstat(fd, &info) != 0 || S_ISLNK(info.st_mode);
  if (is_link) errno = ELOOP;
  const bool changed = !is_link && ::chmod(self.c_str(), mode) == 0;
  const int code = errno;
  ::close(fd);
  errno = code;
  return changed;
}

}  // namespace

OwnerKept ApplyAttributes(FileSystem& file_system, const Attributes& attributes,
                          const ExportPlace& place, const std::function<void(const Error&)>& lost) {
  const char* const name = place.name.c_str();
  OwnerKept owner = OwnerKept::kYes;
  uint32_t mode = attributes.mode & kPermissions;
  // First: it takes set-id bits and capabilities away.
  if (::fchownat(place.directory, name, attributes.uid, attributes.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == EPERM && ::geteuid() != 0) {
      owner = OwnerKept::kNeedsRoot;
    } else {
      lost(FailErrno("owner").value());
    }
    mode &= ~kSetIdBits;  // they would count for somebody else
  }
  ApplyXattrs(file_system, attributes.ino, place, lost);
  if (!S_ISLNK(attributes.mode) && !ChangeMode(place, mode)) lost(FailErrno("mode").value());
  const std::array<timespec, 2> times{ToTimespec(attributes.atime), ToTimespec(attributes.mtime)};
  if (::utimensat(place.directory, name, times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    lost(FailErrno("times").value());
  }
  return owner;
}

}  // namespace dedupfs
