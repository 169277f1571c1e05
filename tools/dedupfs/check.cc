#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"
#include "fs/file_system.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/mount_table.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/progress.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {
namespace {

using nlohmann::json;

constexpr size_t kMaxListedProblems = 10'000;  // --json: all are counted, these are listed

// Takes problems and progress from whichever thread of the check they come.
class CheckReport {
 public:
  explicit CheckReport(bool as_json) : json_(as_json), progress_("check", ProgressUnit::kBytes) {}

  void AddProblem(const std::string& problem) {
    if (!json_) progress_.Clear();
    const MutexLock lock(mutex_);
    if (!json_) {
      PrintLine(problem);
    } else if (problems_.size() < kMaxListedProblems) {
      problems_.push_back(problem);
    }
  }

  void ShowProgress(const ChunkStore::CheckProgress& progress) {
    progress_.Show(progress.bytes_done, progress.bytes_total);
  }

  void EndProgress() { progress_.Clear(); }

  // Once the check has returned.
  std::vector<std::string> TakeProblems() {
    const MutexLock lock(mutex_);
    return std::move(problems_);
  }

 private:
  const bool json_;
  Progress progress_;
  Mutex mutex_;
  std::vector<std::string> problems_ GUARDED_BY(mutex_);
};

}  // namespace

ExitCode Run(const CheckCommand& command) {
  if (command.repair) return RunRepair(command);
  const Result<std::string> store = StoreOf(command.store);
  if (!store) return Explain(store.error(), StoreExitCode(store.error()), command.json);
  CheckReport report(command.json);
  const Result<FileSystemCheck> check = FileSystem::Check(
      *store, [&report](const std::string& problem) { report.AddProblem(problem); },
      [&report](const ChunkStore::CheckProgress& progress) { report.ShowProgress(progress); });
  report.EndProgress();
  if (!check) {
    Error error = check.error();
    const auto mount = FindMount(*store);
    if (mount && *mount) error.message += " (unmount " + (*mount)->mountpoint + " first)";
    return Explain(error, StoreExitCode(error), command.json);
  }
  if (command.json) {
    PrintJson({{"store", *store},
               {"files", check->files},
               {"inodes", check->inodes},
               {"chunks", check->chunks},
               {"bytes", check->bytes},
               {"problems", check->problems},
               {"problem_list", report.TakeProblems()}});
  } else {
    PrintLine(std::to_string(check->inodes) + " inodes, " + std::to_string(check->files) +
              " files with content, " + std::to_string(check->chunks) + " chunks, " +
              HumanBytes(check->bytes) + " of files: " +
              (check->problems == 0 ? "no problems" : HumanCount(check->problems, "problem")));
  }
  return check->problems == 0 ? kExitOk : kExitDamage;
}

}  // namespace dedupfs
