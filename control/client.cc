#include "control/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "chunkstore/base/error.h"
#include "control/error_names.h"
#include "control/frame.h"
#include "control/socket_address.h"

namespace dedupfs {

using nlohmann::json;

Result<ControlClient> ControlClient::Connect(const std::string& store) {
  DEDUPFS_ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::InDirectory(store));
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return FailErrno("socket");
  FrameSocket owned(socket);
  if (::connect(socket, address.address(), SocketAddress::size()) != 0) {
    return FailErrno(store + "/" + kControlSocketName);
  }
  return ControlClient(std::move(owned));
}

Result<json> ControlClient::Call(std::string_view operation, const json& arguments) {
  const json request = {{"operation", operation}, {"arguments", arguments}};
  // A server that turns the caller away answers without reading, so a failed write may still have
  // an answer that says why.
  const Status sent = socket_.Write({JsonText(request), ""});
  if (!sent && sent.error().code != EPIPE && sent.error().code != ECONNRESET) {
    return Fail(sent.error());
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<Frame> answer, socket_.Read());
  if (!answer) return Fail(ECONNRESET, "the daemon ended before it answered");
  const json header = json::parse(answer->header, nullptr, false);
  if (Error error; ErrorFromJson(header, error)) return Fail(std::move(error));
  if (!header.is_object() || !header.contains("result")) {
    return Fail(EPROTO, "the daemon's answer holds neither a result nor an error");
  }
  return header.at("result");
}

}  // namespace dedupfs
