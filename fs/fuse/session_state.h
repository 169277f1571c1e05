// What every request handler of one session shares. Internal to fs/fuse/.
//
// Thread safety: the constants are set before the first request; the rest guards itself.
#pragma once

#include <atomic>

#include "fs/file_system.h"
#include "fs/fuse/device_io.h"
#include "fs/fuse/handle_table.h"
#include "fs/fuse/invalidation.h"
#include "fs/fuse/lowlevel.h"
#include "fs/fuse/request_counters.h"
#include "fs/fuse/session.h"
#include "fs/request_table.h"

namespace dedupfs {

struct SessionState {
  SessionState(FileSystem& file_system, const SessionOptions& session_options)
      : fs(file_system), options(session_options), handles(file_system) {}

  FileSystem& fs;
  const SessionOptions options;
  fuse_session* session = nullptr;
  std::atomic<bool> writeback_cache{false};  // what INIT agreed on
  std::atomic<bool> opendir_optional{false};
  DeviceIo device_io;
  HandleTable handles;
  InvalidationThread invalidation;
  RequestCounters counters;
  RequestTable requests;
};

inline SessionState& StateOf(fuse_req_t request) {
  return *static_cast<SessionState*>(fuse_req_userdata(request));
}

}  // namespace dedupfs
