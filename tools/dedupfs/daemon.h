// The daemon: one mounted store, from opening it to closing it.
//
// Thread safety: Serve runs once, while the process has one thread; it starts the others.
// Ownership:     everything that it starts has ended when it returns.
// Durability:    a kExitOk says that the store was closed, so that all that was written is durable.
// Errors:        the exit status tells the kind; `report` gets the reason where the start failed,
//                the log where the end did.
#pragma once

#include <string>

#include "tools/dedupfs/background.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/mount_options.h"

namespace dedupfs {

struct DaemonOptions {
  std::string store, mountpoint;  // absolute
  MountOptionSet mount;
  std::string log_path;  // empty: stderr
  bool debug = false;
};

// `report` is called once: when the mount is there, or could not be made. Before that `progress` is
// told how many bytes of the database's log are replayed, where there are any.
ExitCode Serve(const DaemonOptions& options, const ReportStart& report,
               const ReportProgress& progress);

}  // namespace dedupfs
