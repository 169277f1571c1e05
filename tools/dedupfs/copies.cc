#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/store_question.h"

namespace dedupfs {
namespace {

std::string Copies(uint64_t count) {
  return std::to_string(count) + (count == 1 ? " extra copy" : " extra copies");
}

}  // namespace

ExitCode Run(const CopiesCommand& command) {
  nlohmann::json result;
  const Result<Answer> answer =
      AskForLongWork(command.target, "copies", {{"drop", command.drop}}, result);
  if (!answer) return Explain(answer.error(), StoreExitCode(answer.error()), command.json);
  if (command.json) {
    PrintJson(result);
    return kExitOk;
  }
  const auto number = [&result](const char* key) { return result.value(key, uint64_t{0}); };
  if (command.drop) {
    PrintLine("forgot " + Copies(number("dropped_chunks")) + ", gave back " +
              HumanBytes(number("freed_bytes")));
    if (const uint64_t kept = number("kept_chunks"); kept > 0) {
      PrintLine("kept " + Copies(kept) + " of damaged chunks, of which no other record is whole");
    }
  } else {
    PrintLine("made " + Copies(number("made_chunks")) + ": " + HumanBytes(number("made_bytes")));
  }
  return kExitOk;
}

}  // namespace dedupfs
