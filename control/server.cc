#include "control/server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "chunkstore/base/error.h"
#include "chunkstore/base/log.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/base/thread_pool.h"
#include "control/error_names.h"
#include "control/frame.h"
#include "control/socket_address.h"

namespace dedupfs {
namespace {

bool PeerMayAsk(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

void TurnAway(FrameSocket& socket, int code, const std::string& message) {
  // The peer may be gone already, and then nobody wants the answer.
  if (const Status sent = socket.Write({JsonText(ErrorToJson({code, message})), ""}); !sent) {
    LogDebug("control_answer_not_sent", sent.error().message);
  }
}

int SpareDescriptor() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

ControlServer::ControlServer(std::string store, Handler handler)
    : store_(std::move(store)), handler_(std::move(handler)) {}

Result<std::unique_ptr<ControlServer>> ControlServer::Start(const std::string& store,
                                                            Handler handler) {
  std::unique_ptr<ControlServer> server(new ControlServer(store, std::move(handler)));
  DEDUPFS_RETURN_IF_ERROR(server->Listen());
  server->acceptor_ = std::thread([raw = server.get()] { raw->Accept(); });
  return server;
}

ControlServer::~ControlServer() {
  Stop();
  if (listener_ >= 0) ::close(listener_);
  if (stop_fd_ >= 0) ::close(stop_fd_);
  if (spare_fd_ >= 0) ::close(spare_fd_);
}

Status ControlServer::Listen() {
  const std::string name = store_ + "/" + kControlSocketName;
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (stop_fd_ < 0) return FailErrno("eventfd");
  spare_fd_ = SpareDescriptor();
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener_ < 0) return FailErrno("socket");
  DEDUPFS_ASSIGN_OR_RETURN(const SocketAddress address, SocketAddress::InDirectory(store_));
  if (::unlinkat(address.directory_fd(), kControlSocketName, 0) != 0 && errno != ENOENT) {
    return FailErrno(name);
  }
  // The mode that bind(2) gives the name comes from the socket: it is never open to others.
  if (::fchmod(listener_, S_IRUSR | S_IWUSR) != 0) return FailErrno(name);
  if (::bind(listener_, address.address(), SocketAddress::size()) != 0) return FailErrno(name);
  if (::listen(listener_, static_cast<int>(kMaxConnections)) != 0) return FailErrno(name);
  return Ok();
}

void ControlServer::Stop() {
  if (!acceptor_.joinable()) return;
  const uint64_t one = 1;
  if (::write(stop_fd_, &one, sizeof(one)) != static_cast<ssize_t>(sizeof(one))) {
    LogError("control_stop_failed", "eventfd");
  }
  acceptor_.join();
  if (::unlink((store_ + "/" + kControlSocketName).c_str()) != 0 && errno != ENOENT) {
    LogWarn("control_socket_left", ErrnoName(errno));
  }
  std::list<Connection> rest;
  {
    // Serve() writes `ended` through a reference: list nodes keep their address when spliced.
    MutexLock lock(mutex_);
    rest.splice(rest.end(), connections_);
  }
  for (Connection& connection : rest) connection.thread.join();
}

void ControlServer::Accept() {
  NameThisThread("control");
  std::array<pollfd, 2> fds{{{listener_, POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
  while (true) {
    const int ready = ::poll(fds.data(), fds.size(), -1);
    if (ready < 0 && errno != EINTR) {
      LogError("control_poll_failed", ErrnoName(errno));
      return;
    }
    if (ready <= 0) continue;
    if (fds[1].revents != 0) return;
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket >= 0) {
      if (spare_fd_ < 0) spare_fd_ = SpareDescriptor();
      Admit(socket);
    } else if ((errno == EMFILE || errno == ENFILE) && RefuseOne()) {
      continue;
    } else if (errno != EINTR && errno != EAGAIN && errno != ECONNABORTED) {
      // Out of descriptors, most likely: give the ones in use a moment to be closed.
      LogWarn("control_accept_failed", ErrnoName(errno));
      pollfd stop{stop_fd_, POLLIN, 0};
      if (::poll(&stop, 1, 1000) > 0) return;
    }
  }
}

bool ControlServer::RefuseOne() {
  if (spare_fd_ < 0) return false;
  ::close(spare_fd_);
  const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (socket >= 0) {
    FrameSocket refused(socket, stop_fd_);
    TurnAway(refused, EIO, "the daemon has no file descriptor left");
  }
  spare_fd_ = SpareDescriptor();
  return socket >= 0;
}

void ControlServer::Admit(int fd) {
  FrameSocket socket(fd, stop_fd_);
  if (!PeerMayAsk(fd)) {
    LogWarn("control_peer_refused");
    TurnAway(socket, EPERM, "only root and the daemon's user may use the control socket");
    return;
  }
  JoinEnded();
  MutexLock lock(mutex_);
  if (connections_.size() >= kMaxConnections) {
    lock.Unlock();
    TurnAway(socket, EBUSY, "too many connections to the control socket");
    return;
  }
  Connection& connection = connections_.emplace_back();
  connection.thread = std::thread(
      [this, &connection, owned = std::make_shared<FrameSocket>(std::move(socket))]() mutable {
        FrameSocket mine = std::move(*owned);
        owned.reset();
        Serve(std::move(mine), connection);
      });
}

void ControlServer::Serve(FrameSocket socket, Connection& connection) {
  NameThisThread("control-conn");
  while (true) {
    const Result<std::optional<Frame>> request = socket.Read();
    if (!request && request.error().code == EMSGSIZE) {
      TurnAway(socket, EMSGSIZE, request.error().message);
    }
    if (!request || !request->has_value()) break;
    if (const Status sent = socket.Write(handler_(**request)); !sent) break;
  }
  MutexLock lock(mutex_);
  connection.ended = true;
}

void ControlServer::JoinEnded() {
  std::list<Connection> ended;
  {
    MutexLock lock(mutex_);
    for (auto at = connections_.begin(); at != connections_.end();) {
      const auto next = std::next(at);
      if (at->ended) ended.splice(ended.end(), connections_, at);
      at = next;
    }
  }
  for (Connection& connection : ended) connection.thread.join();
}

}  // namespace dedupfs
