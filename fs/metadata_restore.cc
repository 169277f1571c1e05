#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/kv_dump.h"
#include "chunkstore/packs/pack_format.h"
#include "fs/copy_file.h"
#include "fs/metadata_backup.h"
#include "fs/namespace/dentry.h"
#include "fs/store_directory.h"
#include "fs/types.h"

namespace dedupfs {
namespace {

// How many numbers may have been given between the backup and the loss of the database.
constexpr uint64_t kSkippedChunkIds = uint64_t{1} << 32;
constexpr uint64_t kSkippedPackIds = uint64_t{1} << 24;
constexpr uint64_t kSkippedInodes = uint64_t{1} << 32;

std::string PathIn(std::string directory, const std::string& name) {
  return std::move(directory.append("/").append(name));
}

class MetadataRestore {
 public:
  MetadataRestore(std::string backup, const RestoreOptions& options, const BackupProgress& progress,
                  StoreDirectory& store)
      : backup_(std::move(backup)), options_(options), progress_(progress), store_(store) {}

  Result<RestoreReport> Run();

 private:
  std::string fresh() const { return store_.path() + "/db.restoring"; }
  void Show(std::string_view what, uint64_t done, uint64_t total) const {
    if (progress_) progress_(what, done, total);
  }
  // Whether the database can be read to its end.
  bool DatabaseIsWhole() const;
  Result<RestoreReport> RestoreFormat();
  Status CopyCheckpoint() const;
  Status LoadDump() const;
  Status AgreeWithPacks();
  Status SkipEveryId(Kv& kv);
  Status BringBack() const;
  Status SetAside(PackId pack);
  Status PutInPlace();

  const std::string backup_;
  const RestoreOptions options_;
  const BackupProgress& progress_;
  StoreDirectory& store_;
  Env& env_ = PosixEnv();
  RestoreReport report_;
};

bool MetadataRestore::DatabaseIsWhole() const {
  KvOptions options;
  options.read_only = true;
  const auto kv = Kv::Open(store_.database(), options);
  return kv && CountRows(**kv);
}

Result<RestoreReport> MetadataRestore::RestoreFormat() {
  {
    KvOptions options;
    options.read_only = true;
    DEDUPFS_ASSIGN_OR_RETURN(const auto kv, Kv::Open(store_.database(), options));
    DEDUPFS_ASSIGN_OR_RETURN(const bool ours,
                             NamesLieUnder(*kv, SipNameHash(store_.format().name_key)));
    if (!ours) return Fail(EINVAL, store_.path() + ": the backup is that of another store");
  }
  DEDUPFS_RETURN_IF_ERROR(store_.Finish());
  report_.only_format = true;
  return report_;
}

Status MetadataRestore::CopyCheckpoint() const {
  const std::string from = BackupCheckpoint(backup_);
  DEDUPFS_ASSIGN_OR_RETURN(const auto names, env_.List(from));
  uint64_t total = 0;
  uint64_t done = 0;
  for (const std::string& name : names) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto file, env_.OpenForRead(PathIn(from, name)));
    DEDUPFS_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    total += size;
  }
  DEDUPFS_RETURN_IF_ERROR(env_.MakeDir(fresh()));
  const auto copied = [&](uint64_t bytes) {
    done += bytes;
    Show("restore", done, total);
  };
  for (const std::string& name : names) {
    DEDUPFS_RETURN_IF_ERROR(CopyFile(env_, PathIn(from, name), PathIn(fresh(), name), copied));
  }
  DEDUPFS_RETURN_IF_ERROR(env_.SyncDir(fresh()));
  KvOptions options;
  options.read_only = true;
  DEDUPFS_ASSIGN_OR_RETURN(const auto kv, Kv::Open(fresh(), options));
  DEDUPFS_RETURN_IF_ERROR(CountRows(*kv));
  return Ok();
}

Status MetadataRestore::LoadDump() const {
  DEDUPFS_ASSIGN_OR_RETURN(const auto dump, env_.OpenForRead(backup_ + "/metadata.dump"));
  KvOptions options;
  options.create = true;
  DEDUPFS_ASSIGN_OR_RETURN(const auto kv, Kv::Open(fresh(), options));
  DEDUPFS_RETURN_IF_ERROR(ReadDump(
      *dump, *kv, [this](uint64_t done, uint64_t total) { Show("restore", done, total); }));
  return kv->SyncLog();
}

// What an earlier restore has set aside may be what this backup knows.
Status MetadataRestore::BringBack() const {
  const auto aside = env_.List(store_.packs_after_backup());
  if (!aside) return aside.error().code == ENOENT ? Ok() : Status(Fail(aside.error()));
  for (const std::string& name : *aside) {
    if (!ParsePackFileName(name)) continue;
    const std::string from = PathIn(store_.packs_after_backup(), name);
    const std::string to = PathIn(store_.packs(), name);
    if (::link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) return FailErrno("link " + to);
  }
  return env_.SyncDir(store_.packs());
}

Status MetadataRestore::SetAside(PackId pack) {
  report_.set_aside = store_.packs_after_backup();
  if (const Status made = env_.MakeDir(report_.set_aside); !made && made.error().code != EEXIST) {
    return Fail(made.error());
  }
  const std::string name = "/" + PackFileName(pack);
  const std::string from = store_.packs() + name;
  const std::string to = report_.set_aside + name;
  if (::link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) return Ok();
  return FailErrno("link " + to);
}

// The numbers given out since the backup are known to nobody: those in use are found in the packs,
// but also those that were deleted again must not come back, since an older backup, or a client of
// NFS, may still know them. The random part keeps two restores of one backup apart.
Status MetadataRestore::SkipEveryId(Kv& kv) {
  uint16_t random = 0;
  if (getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) {
    return FailErrno("getrandom");
  }
  const uint64_t times = uint64_t{1} + random;
  PackId highest = report_.packs.highest_pack;
  if (const auto aside = env_.List(store_.packs_after_backup())) {
    for (const std::string& name : *aside) {
      if (const auto pack = ParsePackFileName(name)) highest = std::max(highest, *pack);
    }
  }
  DEDUPFS_RETURN_IF_ERROR(
      SkipIds(kv, "chunk_ids", report_.packs.highest_chunk + 1, times * kSkippedChunkIds));
  DEDUPFS_RETURN_IF_ERROR(SkipIds(kv, "pack_ids", highest + 1, times * kSkippedPackIds));
  return SkipIds(kv, "next_ino", kFirstFreeIno, times * kSkippedInodes);
}

Status MetadataRestore::AgreeWithPacks() {
  DEDUPFS_ASSIGN_OR_RETURN(const auto kv, Kv::Open(fresh(), {}));
  DEDUPFS_ASSIGN_OR_RETURN(const auto root, kv->Get(Family::kInode, BigU64(kRootIno)));
  if (!root) return Corrupt(backup_ + ": the backup has no root directory");
  DEDUPFS_RETURN_IF_ERROR(BringBack());
  RestorePacksHooks hooks;
  hooks.set_aside = [this](PackId pack) { return SetAside(pack); };
  hooks.progress = [this](uint64_t done, uint64_t total) { Show("packs", done, total); };
  DEDUPFS_ASSIGN_OR_RETURN(report_.packs, RestorePacks(env_, *kv, store_.packs(), hooks));
  if (!report_.set_aside.empty()) DEDUPFS_RETURN_IF_ERROR(env_.SyncDir(report_.set_aside));
  DEDUPFS_ASSIGN_OR_RETURN(const PackId of_copies, RestoreCopies(env_, *kv, store_.copies()));
  report_.packs.highest_pack = std::max(report_.packs.highest_pack, of_copies);
  DEDUPFS_RETURN_IF_ERROR(SkipEveryId(*kv));
  DEDUPFS_RETURN_IF_ERROR(kv->SyncLog());
  DEDUPFS_ASSIGN_OR_RETURN(report_.rows, CountRows(*kv));
  return Ok();
}

Status MetadataRestore::PutInPlace() {
  DEDUPFS_RETURN_IF_ERROR(env_.SyncDir(fresh()));
  std::error_code code;
  if (std::filesystem::exists(store_.database(), code)) {
    std::string aside = store_.database() + ".before-restore";
    for (int number = 2; std::filesystem::exists(aside, code); ++number) {
      aside = store_.database() + ".before-restore-" + std::to_string(number);
    }
    DEDUPFS_RETURN_IF_ERROR(env_.Rename(store_.database(), aside));
    report_.old_database = aside;
  }
  DEDUPFS_RETURN_IF_ERROR(env_.Rename(fresh(), store_.database()));
  DEDUPFS_RETURN_IF_ERROR(env_.SyncDir(store_.path()));
  return store_.format_is_lost() ? store_.Finish() : Ok();
}

Result<RestoreReport> MetadataRestore::Run() {
  if (!options_.force && DatabaseIsWhole()) {
    if (store_.format_is_lost()) return RestoreFormat();
    return Fail(EEXIST, store_.database() +
                            ": the database can be read; what was written since the backup would "
                            "be lost (--force restores all the same)");
  }
  // What an earlier, interrupted call left behind: it was never in use.
  std::error_code code;
  std::filesystem::remove_all(fresh(), code);
  if (code) return Fail(code.value(), fresh() + ": " + code.message());
  DEDUPFS_RETURN_IF_ERROR(options_.from_dump ? LoadDump() : CopyCheckpoint());
  DEDUPFS_RETURN_IF_ERROR(AgreeWithPacks());
  DEDUPFS_RETURN_IF_ERROR(PutInPlace());
  return report_;
}

}  // namespace

Result<RestoreReport> RestoreMetadata(const std::string& store, const std::string& backup,
                                      const RestoreOptions& options,
                                      const BackupProgress& progress) {
  const std::string name = backup + "/format";
  std::string text;
  if (options.from_dump) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto dump, PosixEnv().OpenForRead(backup + "/metadata.dump"));
    DEDUPFS_ASSIGN_OR_RETURN(text, ReadDumpInfo(*dump));
  } else {
    DEDUPFS_ASSIGN_OR_RETURN(text, PosixEnv().ReadAll(name, kMaxDumpInfoBytes));
  }
  DEDUPFS_ASSIGN_OR_RETURN(const StoreFormat format, ParseStoreFormat(name, text));
  DEDUPFS_ASSIGN_OR_RETURN(const auto directory, StoreDirectory::OpenToRestore(store, format));
  DEDUPFS_RETURN_IF_ERROR(CheckMayWrite(store, directory->format()));
  return MetadataRestore(backup, options, progress, *directory).Run();
}

}  // namespace dedupfs
