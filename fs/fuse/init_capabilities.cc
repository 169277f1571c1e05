#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "chunkstore/base/log.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

constexpr unsigned kRequestBytes = 1 << 20;
constexpr unsigned kMaxBackground = 64;
constexpr unsigned kCongestionThreshold = 48;

struct Capability {
  unsigned bit;
  std::string_view name;
};

constexpr std::array kWanted = {
    Capability{FUSE_CAP_ASYNC_READ, "async_read"},
    Capability{FUSE_CAP_ASYNC_DIO, "async_dio"},
    Capability{FUSE_CAP_ATOMIC_O_TRUNC, "atomic_o_trunc"},
    Capability{FUSE_CAP_EXPORT_SUPPORT, "export_support"},
    Capability{FUSE_CAP_DONT_MASK, "dont_mask"},
    Capability{FUSE_CAP_READDIRPLUS, "readdirplus"},
    Capability{FUSE_CAP_READDIRPLUS_AUTO, "readdirplus_auto"},
    Capability{FUSE_CAP_PARALLEL_DIROPS, "parallel_dirops"},
    Capability{FUSE_CAP_POSIX_ACL, "posix_acl"},
    Capability{FUSE_CAP_CACHE_SYMLINKS, "cache_symlinks"},
    Capability{FUSE_CAP_IOCTL_DIR, "ioctl_dir"},  // flags of directories
    // Pages change only through this mount, so none is stale because a size or a time moved.
    Capability{FUSE_CAP_EXPLICIT_INVAL_DATA, "explicit_inval_data"},
};

// What libfuse turns on by itself. HANDLE_KILLPRIV, the first version, clears set-id bits for root
// too; where version 2 is not offered the kernel clears them by itself through SETATTR. Splicing a
// request costs two system calls more than it saves for data that is hashed anyway.
constexpr unsigned kUnwanted = FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_AUTO_INVAL_DATA |
                               FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                               FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS;

void Ask(fuse_conn_info& connection, const Capability& capability, std::string& log) {
  const bool offered = (connection.capable & capability.bit) != 0;
  if (offered) connection.want |= capability.bit;
  log += ' ';
  log += capability.name;
  log += offered ? "=yes" : "=no";
}

}  // namespace

void InitSession(void* state_pointer, fuse_conn_info* connection) {
  SessionState& state = *static_cast<SessionState*>(state_pointer);
  std::string log = "protocol=" + std::to_string(connection->proto_major) + "." +
                    std::to_string(connection->proto_minor);
  connection->want &= ~kUnwanted;
  for (const Capability& capability : kWanted) Ask(*connection, capability, log);
  if (state.options.writeback_cache && !state.options.read_only) {
    Ask(*connection, {FUSE_CAP_WRITEBACK_CACHE, "writeback_cache"}, log);
  }
  state.writeback_cache = (connection->want & FUSE_CAP_WRITEBACK_CACHE) != 0;
  state.opendir_optional = (connection->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;

  connection->max_write = std::min(connection->max_write, kRequestBytes);
  connection->max_read = kRequestBytes;  // the same as in the mount options, or libfuse complains
  connection->max_background = kMaxBackground;
  connection->congestion_threshold = kCongestionThreshold;
  connection->time_gran = 1;
  log += " max_write=" + std::to_string(connection->max_write);
  LogInfo("fuse_initialized", log);
}

}  // namespace dedupfs
