// Names the control socket of a store for bind(2) and connect(2), however long the store's path is
// (a Unix socket address holds 107 bytes): through a descriptor of the directory.
//
// Thread safety: a value; may be moved between threads.
// Ownership:     owns the descriptor, which must stay open until bind or connect has returned.
// Errors:        of open(2) on the directory.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

inline constexpr const char* kControlSocketName = "control.sock";

class SocketAddress {
 public:
  static Result<SocketAddress> InDirectory(const std::string& directory);
  SocketAddress(SocketAddress&& other) noexcept;
  SocketAddress& operator=(SocketAddress&& other) noexcept;
  ~SocketAddress();

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  static socklen_t size() { return sizeof(sockaddr_un); }
  int directory_fd() const { return directory_fd_; }

 private:
  SocketAddress() = default;
  sockaddr_un address_{};
  int directory_fd_ = -1;
};

}  // namespace dedupfs
