// Starts the daemon in the background, and tells its parent how the start went.
//
// Thread safety: forks, so it is called while the process has one thread.
// Ownership:     the child leads a session of its own and outlives its parent.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {

// How a start went: kExitOk once the daemon serves, else the exit status and what to tell the user.
struct StartReport {
  ExitCode exit_code = kExitFailure;
  Error error;
};
using ReportStart = std::function<void(const StartReport&)>;
// How far a start is that takes long; may be told as often as there is something to tell.
using ReportProgress = std::function<void(uint64_t done, uint64_t total)>;

struct BackgroundProcess {
  pid_t pid = 0;
  StartReport report;
};

using BackgroundBody = std::function<ExitCode(const ReportStart&, const ReportProgress&)>;

// Runs `body` in a child whose output goes to `log_path`, and returns in the parent once the child
// has reported, or ended without a report. What the child tells of its progress before goes to
// `progress`, if there is one. The child ends with the status that `body` returns.
Result<BackgroundProcess> RunInBackground(const std::string& log_path, const BackgroundBody& body,
                                          const ReportProgress& progress = nullptr);

}  // namespace dedupfs
