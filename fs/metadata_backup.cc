#include "fs/metadata_backup.h"

#include <sys/stat.h>

#include <memory>
#include <string>

#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/kv_dump.h"
#include "fs/copy_file.h"
#include "fs/store_directory.h"

namespace dedupfs {

namespace {

// The checkpoint shares files with the database where both lie on one disk: what damages the one
// would damage the other.
Status Unshare(Env& env, const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return FailErrno(path);
  if (info.st_nlink < 2) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto file, env.OpenForRead(path));
    return file->Sync();
  }
  const std::string copy = path + ".copy";
  DEDUPFS_RETURN_IF_ERROR(CopyFile(env, path, copy));
  return env.Rename(copy, path);
}

Status UnshareAll(Env& env, const std::string& directory, const BackupProgress& progress) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto names, env.List(directory));
  uint64_t done = 0;
  for (const std::string& name : names) {
    std::string path = directory;
    DEDUPFS_RETURN_IF_ERROR(Unshare(env, path.append("/").append(name)));
    if (progress) progress("database files", ++done, names.size());
  }
  return env.SyncDir(directory);
}

}  // namespace

std::string BackupCheckpoint(const std::string& directory) { return directory + "/checkpoint"; }

Result<uint64_t> CompleteBackup(const std::string& store, const std::string& directory,
                                const BackupProgress& progress) {
  Env& env = PosixEnv();
  const std::string checkpoint = BackupCheckpoint(directory);
  DEDUPFS_ASSIGN_OR_RETURN(const std::string format,
                           env.ReadAll(store + "/format", kMaxDumpInfoBytes));
  DEDUPFS_RETURN_IF_ERROR(ParseStoreFormat(store + "/format", format));
  DEDUPFS_RETURN_IF_ERROR(UnshareAll(env, checkpoint, progress));
  uint64_t rows = 0;
  {
    KvOptions options;
    options.read_only = true;
    DEDUPFS_ASSIGN_OR_RETURN(const auto kv, Kv::Open(checkpoint, options));
    DEDUPFS_ASSIGN_OR_RETURN(const uint64_t total, CountRows(*kv));
    DEDUPFS_ASSIGN_OR_RETURN(const auto dump, env.Create(directory + "/metadata.dump"));
    DEDUPFS_ASSIGN_OR_RETURN(rows, WriteDump(*kv, format, *dump, [&](uint64_t done) {
                               if (progress) progress("metadata rows", done, total);
                             }));
    DEDUPFS_RETURN_IF_ERROR(dump->Sync());
  }
  DEDUPFS_RETURN_IF_ERROR(env.ReplaceFile(directory, "format", format));
  return rows;
}

}  // namespace dedupfs
