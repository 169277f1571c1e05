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

using nlohmann::json;

std::string Row(const std::string& name, const std::string& value, const std::string& meaning) {
  constexpr size_t kNameWidth = 20, kValueWidth = 14;
  std::string row = name;
  row.resize(kNameWidth, ' ');
  if (value.size() < kValueWidth) row.append(kValueWidth - value.size(), ' ');
  row += value;
  if (!meaning.empty()) row += "   " + meaning;
  return row;
}

void PrintStats(const json& stats, bool mounted) {
  const auto bytes = [&stats](const char* key) {
    return HumanBytes(stats.value(key, uint64_t{0}));
  };
  const auto count = [&stats](const char* key) {
    return std::to_string(stats.value(key, uint64_t{0}));
  };
  PrintLine(Row("logical", bytes("logical_bytes"), "as the files show it"));
  PrintLine(Row("unique", bytes("unique_bytes"), "after deduplication"));
  PrintLine(Row("stored", bytes("stored_bytes"), "after compression"));
  PrintLine(Row("physical", bytes("physical_bytes"), "on the disk, with metadata and dead space"));
  PrintLine(Row("dedup ratio", HumanRatio(stats.value("dedup_ratio", json())), "logical / unique"));
  PrintLine(Row("compression ratio", HumanRatio(stats.value("compression_ratio", json())),
                "unique / stored"));
  PrintLine(
      Row("total savings", HumanPercent(stats.value("savings", json())), "1 - physical / logical"));
  PrintLine(Row("dead, waiting", bytes("reclaiming_bytes"), "of deleted files, not reclaimed yet"));
  PrintLine(Row("not chunked yet", bytes("dirty_bytes"), ""));
  PrintLine(Row("inodes", count("inodes"), ""));
  PrintLine(Row("chunks", count("chunks"), ""));
  PrintLine(Row("packs", count("packs"), ""));
  PrintLine(Row("extra copies", count("copy_chunks"),
                bytes("copy_stored_bytes") + ", second records of chunks that many files use"));
  PrintLine(
      Row("damaged chunks", count("damaged_chunks"), "known; `dedupfs scrub` looks for more"));
  const json reason = stats.value("read_only_reason", json());
  if (mounted && reason.is_string()) PrintLine("READ-ONLY: " + reason.get<std::string>());
}

}  // namespace

ExitCode Run(const StatsCommand& command) {
  json stats;
  const Result<Answer> answer =
      AskStore(command.target, "stats", WhenUnmounted::kOpenReadOnly, stats);
  if (!answer) return Explain(answer.error(), StoreExitCode(answer.error()), command.json);
  if (command.json) {
    stats["store"] = answer->store;
    stats["mounted"] = answer->mounted;
    PrintJson(stats);
  } else {
    PrintStats(stats, answer->mounted);
  }
  return kExitOk;
}

}  // namespace dedupfs
