#include <cstdint>
#include <nlohmann/json.hpp>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/store_question.h"

namespace dedupfs {

ExitCode Run(const RecompressCommand& command) {
  nlohmann::json result;
  const Result<Answer> answer =
      AskForLongWork(command.target, "recompress", nlohmann::json::object(), result);
  if (!answer) return Explain(answer.error(), StoreExitCode(answer.error()), command.json);
  if (command.json) {
    PrintJson(result);
    return kExitOk;
  }
  const auto packs = result.value("packs", uint64_t{0});
  if (packs == 0) {
    PrintLine("nothing to rewrite");
  } else {
    PrintLine("rewrote " + std::to_string(packs) + (packs == 1 ? " pack: " : " packs: ") +
              HumanBytes(result.value("bytes_before", uint64_t{0})) + " are now " +
              HumanBytes(result.value("bytes_after", uint64_t{0})));
  }
  return kExitOk;
}

}  // namespace dedupfs
