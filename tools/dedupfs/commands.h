// The subcommands of `dedupfs`, one file each, and what their arguments say.
//
// Thread safety: each runs once, on the main thread, before any other thread is there.
// Errors:        each prints its own messages and returns the exit status.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {

struct FormatCommand {
  std::string store;
  uint32_t chunk_kib = 32;
  std::optional<uint32_t> uid, gid;  // the caller's
  bool json = false;
};
ExitCode Run(const FormatCommand& command);

struct MountCommand {
  std::string store, mountpoint;
  std::string options;  // as of mount(8), with commas
  bool foreground = false;
  bool debug = false;
  bool json = false;
};
ExitCode Run(const MountCommand& command);

struct UmountCommand {
  std::string target;  // a mount point or a store
  uint32_t timeout_s = 300;
  bool force = false;  // also where changes are lost
  bool json = false;
};
ExitCode Run(const UmountCommand& command);

struct StatsCommand {
  std::string target;
  bool json = false;
};
ExitCode Run(const StatsCommand& command);

struct CheckCommand {
  std::string store;
  bool repair = false;
  bool yes = false;  // else a repair only tells what it would do
  bool json = false;
};
ExitCode Run(const CheckCommand& command);
ExitCode RunRepair(const CheckCommand& command);

struct StatusCommand {
  std::string target;
  bool json = false;
};
ExitCode Run(const StatusCommand& command);

struct SyncCommand {
  std::string target;
  bool json = false;
};
ExitCode Run(const SyncCommand& command);

struct ReclaimCommand {
  std::string target;
  bool json = false;
};
ExitCode Run(const ReclaimCommand& command);

struct RecompressCommand {
  std::string target;
  bool json = false;
};
ExitCode Run(const RecompressCommand& command);

struct CopiesCommand {
  std::string target;
  bool drop = false;
  bool json = false;
};
ExitCode Run(const CopiesCommand& command);

struct SelftestCommand {
  std::string directory;  // --powercut
  std::string filesystem = "ext4";
  uint32_t cuts = 20;
  std::optional<uint64_t> seed;  // a fresh one
  bool keep = false;
  bool json = false;
};
ExitCode Run(const SelftestCommand& command);

struct ExportCommand {
  std::string store, directory;
  std::string path;  // in the store; empty: everything
  bool json = false;
};
ExitCode Run(const ExportCommand& command);

struct BackupMetadataCommand {
  std::string target, directory;
  bool json = false;
};
ExitCode Run(const BackupMetadataCommand& command);

struct RestoreCommand {
  std::string store, backup;
  bool from_dump = false;
  bool force = false;
  bool json = false;
};
ExitCode Run(const RestoreCommand& command);

struct ScrubCommand {
  std::string target;
  double rate_mb = 0;  // 10^6 bytes a second; 0: no limit
  bool restart = false;
  bool json = false;
};
ExitCode Run(const ScrubCommand& command);

struct VersionCommand {
  bool json = false;
};
ExitCode Run(const VersionCommand& command);

const char* DedupfsVersion();

}  // namespace dedupfs
