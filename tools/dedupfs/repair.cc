#include "fs/repair.h"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/mount_table.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/phase_progress.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {
namespace {

using nlohmann::json;

constexpr size_t kMaxListedLosses = 10'000;  // --json: all are counted, these are listed

void PrintKinds(const RepairReport& report) {
  const std::string verb = report.applied ? "mended: " : "to be mended: ";
  if (report.database_damaged) PrintLine(verb + "the database itself is damaged");
  for (const RepairReport::Kind& kind : report.mended) {
    PrintLine(verb + kind.name + ": " + std::to_string(kind.count));
    for (const std::string& example : kind.examples) PrintLine("  " + example);
    if (!kind.examples.empty() && kind.count > kind.examples.size()) {
      PrintLine("  and " + std::to_string(kind.count - kind.examples.size()) + " more");
    }
  }
}

void PrintEnd(const RepairReport& report) {
  if (report.losses != 0) {
    PrintLine(std::to_string(report.losses) + " losses, listed above, that no repair can undo");
  }
  if (!report.needed()) {
    PrintLine("nothing to mend");
  } else if (!report.applied) {
    PrintLine("nothing was changed; dedupfs check --repair --yes does what is listed");
  } else {
    PrintLine("repaired" + (report.kept.empty()
                                ? std::string()
                                : "; the database as it was is kept in " + report.kept));
  }
}

void PrintAsJson(const std::string& store, const RepairReport& report,
                 const std::vector<std::string>& losses) {
  json kinds = json::array();
  for (const RepairReport::Kind& kind : report.mended) {
    kinds.push_back({{"kind", kind.name}, {"count", kind.count}, {"first", kind.examples}});
  }
  PrintJson({{"store", store},
             {"applied", report.applied},
             {"database_damaged", report.database_damaged},
             {"mended", kinds},
             {"losses", report.losses},
             {"loss_list", losses},
             {"kept", report.kept}});
}

}  // namespace

ExitCode RunRepair(const CheckCommand& command) {
  const Result<std::string> store = StoreOf(command.store);
  if (!store) return Explain(store.error(), StoreExitCode(store.error()), command.json);
  PhaseProgress progress;
  std::vector<std::string> losses;
  RepairHooks hooks;
  hooks.lost = [&](const std::string& line) {
    if (!command.json) {
      progress.Clear();
      PrintLine("lost: " + line);
    } else if (losses.size() < kMaxListedLosses) {
      losses.push_back(line);
    }
  };
  hooks.progress = [&progress](const std::string& step, uint64_t done, uint64_t total) {
    progress.Show(step, ProgressUnit::kBytes, done, total);
  };
  const Result<RepairReport> report = RepairStore(*store, command.yes, hooks);
  progress.Clear();
  if (!report) {
    Error error = report.error();
    const auto mount = FindMount(*store);
    if (mount && *mount) error.message += " (unmount " + (*mount)->mountpoint + " first)";
    return Explain(error, StoreExitCode(error), command.json);
  }
  if (command.json) {
    PrintAsJson(*store, *report, losses);
  } else {
    PrintKinds(*report);
    PrintEnd(*report);
  }
  const bool whole = report->losses == 0 && (report->applied || !report->needed());
  return whole ? kExitOk : kExitDamage;
}

}  // namespace dedupfs
