#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/store_question.h"

namespace dedupfs {

using nlohmann::json;

namespace {

constexpr uint64_t kLongMs = 1000;  // shorter ones are the normal life of a mount

void TellRequests(const json& status) {
  for (const json& request : status.value("requests", json::array())) {
    const uint64_t age_ms = request.value("age_ms", uint64_t{0});
    if (age_ms < kLongMs) continue;
    const std::string where = request.value("waits_in", std::string());
    PrintLine("  " + request.value("operation", std::string()) + " of inode " +
              std::to_string(request.value("ino", uint64_t{0})) + " for " +
              std::to_string(age_ms / 1000) + " s, thread " +
              std::to_string(request.value("thread", 0)) +
              (where.empty() ? "" : ", waits in " + where));
  }
}

void PrintDamage(const json& status) {
  const json scrub = status.value("scrub", json::object());
  const json last = scrub.value("last", json());
  if (last.is_object()) {
    const auto damaged = last.value("damaged_chunks", uint64_t{0});
    PrintLine("last scrub: " + HumanDate(last.value("finished_s", uint64_t{0})) + ", " +
              HumanBytes(last.value("bytes", uint64_t{0})) + ", " +
              (damaged == 0 ? "no damage" : HumanCount(damaged, "damaged chunk")));
  } else {
    PrintLine("last scrub: none has come to its end");
  }
  if (scrub.value("state", std::string()) == "running") {
    PrintLine("a scrub is running: " + HumanBytes(scrub.value("done_bytes", uint64_t{0})) + " of " +
              HumanBytes(scrub.value("total_bytes", uint64_t{0})));
  }
  const auto damaged = status.value("damaged_chunks", uint64_t{0});
  if (damaged > 0) {
    PrintLine("known damage: " + HumanCount(damaged, "chunk") +
              "; `dedupfs scrub` names the files");
  }
  const auto healed = status.value("healed_chunks", uint64_t{0});
  if (healed > 0) PrintLine("healed since it was opened: " + HumanCount(healed, "chunk"));
}

}  // namespace

ExitCode Run(const StatusCommand& command) {
  json status;
  const Result<Answer> answer =
      AskStore(command.target, "status", WhenUnmounted::kOpenReadOnly, status);
  if (!answer) return Explain(answer.error(), StoreExitCode(answer.error()), command.json);
  if (!answer->mounted) status["mounted"] = false;
  const bool healthy = status.value("healthy", false);
  if (command.json) {
    PrintJson(status);
  } else if (!answer->mounted) {
    PrintLine(answer->store + ": not mounted");
  } else {
    PrintLine(answer->store + ": mounted on " + status.value("mountpoint", std::string()) +
              (status.value("read_only", false) ? " (read-only)" : "") + ", process " +
              std::to_string(status.value("pid", 0)));
    TellRequests(status);
  }
  if (!command.json) PrintDamage(status);
  if (!healthy) {
    const json failure = status.value("failure", json());
    PrintMessage("the store has failed: " +
                 (failure.is_string() ? failure.get<std::string>() : std::string("see the log")));
  }
  return healthy ? kExitOk : kExitFailure;
}

}  // namespace dedupfs
