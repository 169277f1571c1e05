#include "control/frame.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/error.h"

namespace dedupfs {

FrameSocket::~FrameSocket() {
  if (socket_ >= 0) ::close(socket_);
}

FrameSocket::FrameSocket(FrameSocket&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), stop_fd_(other.stop_fd_) {}

Status FrameSocket::WaitFor(short events, int timeout_ms) const {
  std::array<pollfd, 2> fds{{{socket_, events, 0}, {stop_fd_, POLLIN, 0}}};
  while (true) {
    const int ready = ::poll(fds.data(), fds.size(), timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return FailErrno("control socket: poll");
    if (fds[1].revents != 0) return Fail(ECANCELED, "control socket: stopping");
    if (ready == 0) return Fail(ETIMEDOUT, "control socket: the peer stopped inside a frame");
    return Ok();
  }
}

Result<size_t> FrameSocket::ReadUpTo(char* out, size_t size, bool first_may_wait) {
  size_t done = 0;
  while (done < size) {
    const bool may_wait = first_may_wait && done == 0;
    DEDUPFS_RETURN_IF_ERROR(WaitFor(POLLIN, may_wait ? -1 : kFrameTimeoutMs));
    const ssize_t got = ::recv(socket_, out + done, size - done, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return FailErrno("control socket: read");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Result<std::optional<Frame>> FrameSocket::Read() {
  std::array<char, kFramePrefixSize> prefix{};
  DEDUPFS_ASSIGN_OR_RETURN(const size_t got, ReadUpTo(prefix.data(), prefix.size(), true));
  if (got == 0) return std::optional<Frame>();
  if (got < prefix.size()) return Fail(EPIPE, "control socket: the peer ended inside a frame");
  Decoder decoder({prefix.data(), prefix.size()});
  const uint32_t header_size = decoder.U32();
  const uint32_t body_size = decoder.U32();
  if (header_size > kMaxFrameHeaderSize || body_size > kMaxFrameBodySize) {
    return Fail(EMSGSIZE, "control socket: a frame of " + std::to_string(header_size) + " + " +
                              std::to_string(body_size) + " bytes is over the limit");
  }
  Frame frame;
  frame.header.resize(header_size);
  DEDUPFS_ASSIGN_OR_RETURN(const size_t header_got,
                           ReadUpTo(frame.header.data(), header_size, false));
  frame.body.resize(body_size);
  DEDUPFS_ASSIGN_OR_RETURN(const size_t body_got, ReadUpTo(frame.body.data(), body_size, false));
  if (header_got < header_size || body_got < body_size) {
    return Fail(EPIPE, "control socket: the peer ended inside a frame");
  }
  return std::optional<Frame>(std::move(frame));
}

Status FrameSocket::WriteAll(const char* data, size_t size) {
  size_t done = 0;
  while (done < size) {
    DEDUPFS_RETURN_IF_ERROR(WaitFor(POLLOUT, kFrameTimeoutMs));
    const ssize_t sent = ::send(socket_, data + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (sent < 0) return FailErrno("control socket: write");
    done += static_cast<size_t>(sent);
  }
  return Ok();
}

Status FrameSocket::Write(const Frame& frame) {
  if (frame.header.size() > kMaxFrameHeaderSize || frame.body.size() > kMaxFrameBodySize) {
    return Fail(EMSGSIZE, "control socket: the answer is over the limit of a frame");
  }
  std::string prefix;
  prefix.reserve(kFramePrefixSize + frame.header.size());
  PutU32(prefix, static_cast<uint32_t>(frame.header.size()));
  PutU32(prefix, static_cast<uint32_t>(frame.body.size()));
  static_assert(kFramePrefixSize == 2 * sizeof(uint32_t));
  prefix += frame.header;
  DEDUPFS_RETURN_IF_ERROR(WriteAll(prefix.data(), prefix.size()));
  return WriteAll(frame.body.data(), frame.body.size());
}

}  // namespace dedupfs
