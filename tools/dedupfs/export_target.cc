#include "tools/dedupfs/export_target.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "chunkstore/base/env.h"

namespace dedupfs {
namespace {

constexpr const char* kLinksDirectory = ".dedupfs-export";

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Status WriteAll(int fd, uint64_t offset, Bytes data) {
  while (!data.empty()) {
    const ssize_t wrote = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return FailErrno("write");
    data = data.subspan(static_cast<size_t>(wrote));
    offset += static_cast<uint64_t>(wrote);
  }
  return Ok();
}

Result<Descriptor> OpenDirectory(int parent, const std::string& name) {
  Descriptor fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd.get() < 0) return FailErrno("open " + name);
  return fd;
}

Result<ExportTarget> ExportTarget::Open(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return FailErrno(path);
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return FailErrno(path);
  DEDUPFS_ASSIGN_OR_RETURN(const auto names, PosixEnv().List(path));
  for (const std::string& name : names) {
    if (name == "lost+found") continue;
    std::string message = path;
    message.append(" is not empty (").append(name).append(")");
    if (name == kLinksDirectory) message += ": it holds an export that did not end";
    return Fail(ENOTEMPTY, message + "; nothing is written over");
  }
  // Else everything would inherit it.
  const std::string self = "/proc/self/fd/" + std::to_string(fd.get()) + "/.";
  ::removexattr(self.c_str(), "system.posix_acl_default");
  return ExportTarget(std::move(fd));
}

Status ExportTarget::MakeLinksDirectory(FileSystem& file_system, const Attributes& root) {
  links_name_ = kLinksDirectory;
  while (S_ISDIR(root.mode)) {
    const auto taken = file_system.Lookup(root.ino, links_name_);
    if (!taken) break;
    file_system.Forget(taken->ino, 1);
    links_name_ += "-";
  }
  if (::mkdirat(fd(), links_name_.c_str(), S_IRWXU) != 0) return FailErrno(links_name_);
  return Ok();
}

// Names are left in it where not all names of a file lay in the tree.
Status ExportTarget::RemoveLinksDirectory() {
  DEDUPFS_ASSIGN_OR_RETURN(const Descriptor links, OpenDirectory(fd(), links_name_));
  const std::string path = "/proc/self/fd/" + std::to_string(links.get());
  DEDUPFS_ASSIGN_OR_RETURN(const auto names, PosixEnv().List(path));
  for (const std::string& name : names) {
    if (::unlinkat(links.get(), name.c_str(), 0) != 0) return FailErrno(name);
  }
  if (::unlinkat(fd(), links_name_.c_str(), AT_REMOVEDIR) != 0) return FailErrno(links_name_);
  return Ok();
}

}  // namespace dedupfs
