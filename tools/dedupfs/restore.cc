#include <cerrno>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "fs/metadata_backup.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/phase_progress.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {
namespace {

void PrintReport(const RestoreReport& report, const std::string& store) {
  if (report.only_format) {
    PrintLine("restored " + store + "/format; the database is whole and stays as it is");
    return;
  }
  const RestoredPacks& packs = report.packs;
  PrintLine("restored " + std::to_string(report.rows) + " rows of metadata into " + store);
  if (!report.old_database.empty()) {
    PrintLine("the database of before is in " + report.old_database);
  }
  if (packs.moved_chunks > 0) {
    PrintLine(std::to_string(packs.moved_chunks) + " chunks were found in newer packs");
  }
  if (packs.missing_chunks > 0) {
    PrintLine(std::to_string(packs.missing_chunks) +
              " chunks are in no pack any more: dedupfs check names the files");
  }
  if (packs.packs_set_aside > 0) {
    PrintLine(std::to_string(packs.unknown_chunks) + " chunks in " +
              std::to_string(packs.packs_set_aside) +
              " packs are newer than the backup: these packs are kept in " + report.set_aside);
  }
  PrintLine("now run dedupfs check " + store);
}

}  // namespace

ExitCode Run(const RestoreCommand& command) {
  const auto store = AbsolutePath(command.store);
  if (!store) return Explain(store.error(), kExitNoStore, command.json);
  PhaseProgress progress;
  const auto report = RestoreMetadata(
      *store, command.backup, {.from_dump = command.from_dump, .force = command.force},
      [&](std::string_view what, uint64_t done, uint64_t total) {
        const auto unit = what == "packs" ? ProgressUnit::kItems : ProgressUnit::kBytes;
        progress.Show(what, unit, done, total);
      });
  progress.Clear();
  if (!report) {
    Error error = report.error();
    if (!command.from_dump && error.code == EIO) error.message += " (--from-dump may still work)";
    return Explain(error, StoreExitCode(error), command.json);
  }
  if (command.json) {
    PrintJson({{"store", *store},
               {"only_format", report->only_format},
               {"rows", report->rows},
               {"old_database", report->old_database},
               {"set_aside", report->set_aside},
               {"packs_set_aside", report->packs.packs_set_aside},
               {"unknown_chunks", report->packs.unknown_chunks},
               {"moved_chunks", report->packs.moved_chunks},
               {"missing_chunks", report->packs.missing_chunks}});
  } else {
    PrintReport(*report, *store);
  }
  return kExitOk;
}

}  // namespace dedupfs
