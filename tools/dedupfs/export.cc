#include <sys/resource.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/mount_table.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/progress.h"
#include "tools/dedupfs/store_path.h"
#include "tools/dedupfs/tree_export.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxListedProblems = 10'000;  // --json: all are counted, these are listed

// One descriptor for each level of the tree.
void RaiseFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));  // less deep then
}

Status RefuseInside(const std::string& store, const std::string& directory) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::string target, AbsoluteNewPath(directory));
  if (!IsInside(target, store)) return Ok();
  return Fail(EINVAL, target + " lies in the store itself");
}

void PrintReport(const ExportReport& report, const std::string& directory) {
  PrintLine("exported " + std::to_string(report.files) + " files, " +
            std::to_string(report.directories) + " directories, " +
            std::to_string(report.symlinks) + " symlinks, " + std::to_string(report.special_files) +
            " special files, " + std::to_string(report.hard_links) + " further names, " +
            HumanBytes(report.bytes) + " of content to " + directory + ": " +
            (report.problems == 0 ? "no problems" : HumanCount(report.problems, "problem")));
  if (report.damaged_files > 0) {
    PrintMessage(HumanCount(report.damaged_files, "file") +
                 " could be read in part only: NAME.damaged has what is left of NAME");
  }
  if (report.owners_not_kept > 0) {
    PrintMessage("the owners of " + std::to_string(report.owners_not_kept) +
                 " entries were not kept, nor their set-id bits: that needs root");
  }
}

}  // namespace

ExitCode Run(const ExportCommand& command) {
  const Result<std::string> store = StoreOf(command.store);
  if (!store) return Explain(store.error(), StoreExitCode(store.error()), command.json);
  if (const Status outside = RefuseInside(*store, command.directory); !outside) {
    return Explain(outside.error(), kExitFailure, command.json);
  }
  const auto file_system = FileSystem::Open(*store, {.read_only = true});
  if (!file_system) {
    Error error = file_system.error();
    const auto mount = FindMount(*store);
    if (mount && *mount) error.message += " (unmount " + (*mount)->mountpoint + " first)";
    return Explain(error, StoreExitCode(error), command.json);
  }
  RaiseFileLimit();
  Progress progress("export", ProgressUnit::kBytes);
  std::vector<std::string> problems;
  ExportHooks hooks;
  hooks.progress = [&progress](uint64_t done, uint64_t total) { progress.Show(done, total); };
  hooks.problem = [&](const std::string& path, const Error& error) {
    const std::string problem = path + ": " + error.message;
    progress.Clear();
    if (!command.json) {
      PrintMessage(problem);
    } else if (problems.size() < kMaxListedProblems) {
      problems.push_back(problem);
    }
  };
  const auto report = ExportTree(**file_system, command.path, command.directory, hooks);
  progress.Clear();
  if (!report) return Explain(report.error(), kExitFailure, command.json);
  if (command.json) {
    PrintJson({{"store", *store},
               {"directory", command.directory},
               {"files", report->files},
               {"directories", report->directories},
               {"symlinks", report->symlinks},
               {"special_files", report->special_files},
               {"hard_links", report->hard_links},
               {"bytes", report->bytes},
               {"owners_not_kept", report->owners_not_kept},
               {"damaged_files", report->damaged_files},
               {"problems", report->problems},
               {"problem_list", problems}});
  } else {
    PrintReport(*report, command.directory);
  }
  if (report->damaged > 0) return kExitDamage;
  return report->problems == 0 ? kExitOk : kExitFailure;
}

}  // namespace dedupfs
