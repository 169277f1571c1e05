// The frames of the control socket: any bytes are whole frames up to a clean end, or an error, and
// what was read is what was sent.

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "chunkstore/base/coding.h"
#include "control/frame.h"

namespace {

// Fits into a socket's buffer, so that one thread can write all and then read.
constexpr size_t kMostBytes = 32 << 10;

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dedupfs;
  const std::string_view sent(reinterpret_cast<const char*>(data), std::min(size, kMostBytes));
  std::array<int, 2> ends{};
  Require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  FrameSocket reader(ends[0]);
  Require(sent.empty() || ::send(ends[1], sent.data(), sent.size(), MSG_NOSIGNAL) ==
                              static_cast<ssize_t>(sent.size()));
  ::close(ends[1]);
  std::string received;
  while (true) {
    const auto frame = reader.Read();
    if (!frame) {
      Require(frame.error().code == EPIPE || frame.error().code == EMSGSIZE);
      break;
    }
    if (!frame->has_value()) {
      Require(received.size() == sent.size());
      break;
    }
    PutU32(received, static_cast<uint32_t>((*frame)->header.size()));
    PutU32(received, static_cast<uint32_t>((*frame)->body.size()));
    received += (*frame)->header;
    received += (*frame)->body;
    Require(sent.starts_with(received));
  }
  return 0;
}
