#include "control/socket_address.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "chunkstore/base/error.h"

namespace dedupfs {

Result<SocketAddress> SocketAddress::InDirectory(const std::string& directory) {
  SocketAddress result;
  result.directory_fd_ = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (result.directory_fd_ < 0) return FailErrno(directory);
  const std::string path =
      "/proc/self/fd/" + std::to_string(result.directory_fd_) + "/" + kControlSocketName;
  result.address_.sun_family = AF_UNIX;
  std::memcpy(result.address_.sun_path, path.c_str(), path.size() + 1);
  return result;
}

SocketAddress::SocketAddress(SocketAddress&& other) noexcept
    : address_(other.address_), directory_fd_(std::exchange(other.directory_fd_, -1)) {}

SocketAddress& SocketAddress::operator=(SocketAddress&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(directory_fd_, other.directory_fd_);
  return *this;
}

SocketAddress::~SocketAddress() {
  if (directory_fd_ >= 0) ::close(directory_fd_);
}

}  // namespace dedupfs
