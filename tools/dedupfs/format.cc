#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"

namespace dedupfs {

ExitCode Run(const FormatCommand& command) {
  FormatOptions options;
  options.average_chunk_bytes = command.chunk_kib << 10;
  options.uid = command.uid.value_or(::getuid());
  options.gid = command.gid.value_or(::getgid());
  if (const Status made = FileSystem::Format(command.store, options); !made) {
    const ExitCode exit_code = made.error().code == EBUSY ? kExitStoreInUse : kExitFailure;
    return Explain(made.error(), exit_code, command.json);
  }
  if (command.json) {
    PrintJson({{"store", command.store}, {"average_chunk_bytes", options.average_chunk_bytes}});
  } else {
    PrintLine("made an empty store in " + command.store);
  }
  return kExitOk;
}

}  // namespace dedupfs
