// What a running daemon can be asked to do. Each operation is written once, here; the control
// socket and (later) HTTP are its front doors. (Documented in docs/format/control-socket.md.)
//
// Thread safety: every function may be called concurrently.
// Ownership:     borrows the FileSystem for the call.
// Errors:        ENOSYS for an unknown operation, EINVAL naming a wrong argument, else what the
//                FileSystem returned.
// Units:         fields named _bytes are bytes.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"
#include "control/frame.h"
#include "fs/file_system.h"
#include "fs/request_table.h"

namespace dedupfs {

// What the operations tell about the process that runs them.
struct DaemonInfo {
  std::string store;
  std::string mountpoint;  // empty while not mounted
  std::string version;
  int pid = 0;
  bool read_only = false;  // mounted so
  std::function<std::vector<RequestInFlight>()> requests = {};  // empty while not mounted
};

Result<nlohmann::json> RunOperation(FileSystem& file_system, const DaemonInfo& daemon,
                                    std::string_view name, const nlohmann::json& arguments);

// The numbers of `stats`, and the ratios that follow from them: null where they divide by zero.
nlohmann::json StatsToJson(const FileSystemStats& stats);

// Answers one request frame: the operation's result or its error. Never fails itself.
Frame AnswerRequest(FileSystem& file_system, const DaemonInfo& daemon, const Frame& request);

}  // namespace dedupfs
