#include <nlohmann/json.hpp>
#include <string>

#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"

namespace dedupfs {

const char* DedupfsVersion() { return DEDUPFS_VERSION; }

ExitCode Run(const VersionCommand& command) {
  if (command.json) {
    PrintJson({{"version", DedupfsVersion()}});
  } else {
    PrintLine(std::string("dedupfs ") + DedupfsVersion());
  }
  return kExitOk;
}

}  // namespace dedupfs
