#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "fs/metadata_backup.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/phase_progress.h"
#include "tools/dedupfs/store_path.h"
#include "tools/dedupfs/store_question.h"

namespace dedupfs {
namespace {

// Where the backup is made: a crash leaves this name, never the final one.
Status MakePartial(const std::string& directory, const std::string& partial) {
  struct stat info {};
  if (::lstat(directory.c_str(), &info) == 0) {
    return Fail(EEXIST, directory + " exists; a backup is never written over");
  }
  Status made = PosixEnv().MakeDir(partial);
  if (!made && made.error().code == EEXIST) {
    return Fail(EEXIST, partial + " is left of a backup that did not end: remove it");
  }
  return made;
}

Status MoveInPlace(const std::string& partial, const std::string& directory) {
  if (::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, directory.c_str(), RENAME_NOREPLACE) != 0) {
    // Not every file system knows the flag. An empty directory is all that rename would replace.
    if (errno != EINVAL && errno != ENOSYS) return FailErrno(directory);
    DEDUPFS_RETURN_IF_ERROR(PosixEnv().Rename(partial, directory));
  }
  return PosixEnv().SyncDir(directory.substr(0, directory.rfind('/') + 1));
}

Result<uint64_t> MakeBackup(const std::string& target, const std::string& directory,
                            std::string& store, const BackupProgress& progress) {
  const std::string partial = directory + ".partial";
  DEDUPFS_ASSIGN_OR_RETURN(store, StoreOf(target));
  DEDUPFS_RETURN_IF_ERROR(MakePartial(directory, partial));
  nlohmann::json result;
  const auto answer = AskStore(target, "checkpoint", {{"directory", BackupCheckpoint(partial)}},
                               WhenUnmounted::kOpenToWrite, result);
  if (!answer) {
    ::rmdir(partial.c_str());  // so that it can be tried again; with something in it, it stays
    return Fail(answer.error());
  }
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t rows, CompleteBackup(store, partial, progress));
  DEDUPFS_RETURN_IF_ERROR(MoveInPlace(partial, directory));
  return rows;
}

}  // namespace

ExitCode Run(const BackupMetadataCommand& command) {
  const auto directory = AbsoluteNewPath(command.directory);
  if (!directory) return Explain(directory.error(), kExitFailure, command.json);
  PhaseProgress progress;
  std::string store;
  const auto rows = MakeBackup(command.target, *directory, store,
                               [&](std::string_view what, uint64_t done, uint64_t total) {
                                 progress.Show(what, ProgressUnit::kItems, done, total);
                               });
  progress.Clear();
  if (!rows) return Explain(rows.error(), StoreExitCode(rows.error()), command.json);
  if (command.json) {
    PrintJson({{"store", store}, {"directory", *directory}, {"rows", *rows}});
  } else {
    PrintLine("copied " + std::to_string(*rows) + " rows of metadata to " + *directory +
              "; keep it on another disk, and the packs of " + store + " as well");
  }
  return kExitOk;
}

}  // namespace dedupfs
