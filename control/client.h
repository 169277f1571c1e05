// Asks the daemon of a store over its control socket (format: docs/format/control-socket.md).
//
// Thread safety: a client belongs to one thread at a time.
// Ownership:     owns its connection; a moved-from client is of no use.
// Errors:        Connect: ENOENT or ECONNREFUSED where no daemon runs, EACCES where the caller may
//                not ask. Call: what the daemon answered, or EPROTO for an answer without a shape.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "chunkstore/base/error.h"
#include "control/frame.h"

namespace dedupfs {

class ControlClient {
 public:
  static Result<ControlClient> Connect(const std::string& store);

  // The "result" of the operation. Waits for as long as it takes.
  Result<nlohmann::json> Call(std::string_view operation, const nlohmann::json& arguments);

 private:
  explicit ControlClient(FrameSocket socket) : socket_(std::move(socket)) {}
  FrameSocket socket_;
};

}  // namespace dedupfs
