// The command line of `dedupfs`.
//
// Thread safety: called once, on the main thread.
#pragma once

#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {

// Reads the arguments and runs the subcommand that they name. Wrong arguments: says which, and
// returns kExitUsage.
ExitCode ParseAndRun(int argc, char** argv);

}  // namespace dedupfs
