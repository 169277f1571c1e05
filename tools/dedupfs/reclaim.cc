#include <cstdint>
#include <nlohmann/json.hpp>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/store_question.h"

namespace dedupfs {

ExitCode Run(const ReclaimCommand& command) {
  nlohmann::json result;
  const Result<Answer> answer =
      AskForLongWork(command.target, "reclaim", nlohmann::json::object(), result);
  if (!answer) return Explain(answer.error(), StoreExitCode(answer.error()), command.json);
  if (command.json) {
    PrintJson(result);
  } else {
    PrintLine("gave back " + HumanBytes(result.value("reclaimed_bytes", uint64_t{0})));
  }
  return kExitOk;
}

}  // namespace dedupfs
