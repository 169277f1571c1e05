#include <nlohmann/json.hpp>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/store_question.h"

namespace dedupfs {

ExitCode Run(const SyncCommand& command) {
  nlohmann::json result;
  // A store that nobody has open was synced when it was closed, or is recovered when it is opened.
  const Result<Answer> answer =
      AskStore(command.target, "sync", WhenUnmounted::kOpenToWrite, result);
  if (!answer) return Explain(answer.error(), StoreExitCode(answer.error()), command.json);
  if (command.json) PrintJson(result);
  return kExitOk;
}

}  // namespace dedupfs
