// Frames of the control socket: what goes over the wire in both directions
// (format: docs/format/control-socket.md).
//
// Thread safety: a FrameSocket belongs to one thread at a time.
// Ownership:     a FrameSocket owns its socket, and borrows `stop_fd`.
// Errors:        EMSGSIZE for a frame over the limits, EPIPE or ECONNRESET where the peer ended in
//                the middle of one, ECANCELED once `stop_fd` is readable, ETIMEDOUT for a frame
//                that stops half-way. After an error the socket is of no more use.
// Units:         sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

inline constexpr size_t kFramePrefixSize = 8;
inline constexpr uint32_t kMaxFrameHeaderSize = 1u << 20;
inline constexpr uint32_t kMaxFrameBodySize = 16u << 20;
inline constexpr int kFrameTimeoutMs = 30'000;  // the longest pause in the middle of a frame

struct Frame {
  std::string header;  // JSON
  std::string body;    // raw bytes; mostly empty
};

class FrameSocket {
 public:
  // `stop_fd` is polled beside the socket; -1 for none.
  explicit FrameSocket(int socket, int stop_fd = -1) : socket_(socket), stop_fd_(stop_fd) {}
  ~FrameSocket();
  FrameSocket(FrameSocket&& other) noexcept;
  FrameSocket& operator=(FrameSocket&&) = delete;

  // Waits for the next frame; empty where the peer ended cleanly between two frames.
  Result<std::optional<Frame>> Read();
  Status Write(const Frame& frame);

 private:
  Status WaitFor(short events, int timeout_ms) const;
  // How many of `size` bytes came; fewer only at the end of the stream.
  Result<size_t> ReadUpTo(char* out, size_t size, bool first_may_wait);
  Status WriteAll(const char* data, size_t size);

  int socket_;
  int stop_fd_;
};

}  // namespace dedupfs
