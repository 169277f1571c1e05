// The daemon's end of the control socket STORE/control.sock
// (format: docs/format/control-socket.md).
//
// Thread safety: Stop() may be called from any thread that is not one of the server's own.
// Ownership:     owns the socket, its name in the store and its threads: "control" accepts, and one
//                "control-conn" for each connection, at most kMaxConnections.
// Errors:        Start returns the errno of the call that failed. Peers other than root and the
//                daemon's user are turned away with EPERM.
// A handler runs on the connection's thread, so it may be called concurrently.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"
#include "control/frame.h"

namespace dedupfs {

class ControlServer {
 public:
  static constexpr size_t kMaxConnections = 32;
  using Handler = std::function<Frame(const Frame& request)>;

  // Replaces the socket that a daemon left behind: the caller holds the store's lock.
  static Result<std::unique_ptr<ControlServer>> Start(const std::string& store, Handler handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // Removes the socket, lets running handlers end, and joins every thread.
  void Stop();

 private:
  struct Connection {
    std::thread thread;
    bool ended = false;
  };

  ControlServer(std::string store, Handler handler);
  Status Listen();
  void Accept();
  // With no descriptor left: tells the next peer so. False if it could not.
  bool RefuseOne();
  void Admit(int socket);
  void Serve(FrameSocket socket, Connection& connection);
  void JoinEnded();

  const std::string store_;
  const Handler handler_;
  int listener_ = -1;
  int stop_fd_ = -1;  // an eventfd; readable from Stop() on
  // Given up for a moment where there is no other, so that who asks gets an answer.
  int spare_fd_ = -1;
  std::thread acceptor_;
  Mutex mutex_;
  std::list<Connection> connections_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
