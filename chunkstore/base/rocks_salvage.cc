#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/metadata.h>
#include <rocksdb/options.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/kv_salvage.h"
#include "chunkstore/base/rocks_broken_table.h"
#include "chunkstore/base/rocks_options.h"
#include "chunkstore/base/rocks_wal_files.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

constexpr size_t kBatchBytes = 1 << 20;
// Each family has a row of this key in a scratch database, so that RocksDB knows the family when it
// meets its rows in a log. No family has a key of one byte.
constexpr std::string_view kMark("\0", 1);
constexpr uint64_t kMarkTables = 1'000'000'000;  // the numbers of their tables: above all others

using Tables = std::map<std::string, BrokenTable>;  // by file name

Status FailFiles(const std::string& what, const std::error_code& code) {
  return Fail(code.value(), what + ": " + code.message());
}

Result<std::vector<files::path>> FilesOf(const std::string& directory) {
  std::error_code code;
  std::vector<files::path> found;
  for (files::directory_iterator entry(directory, code);
       !code && entry != files::directory_iterator(); entry.increment(code)) {
    found.push_back(entry->path());
  }
  if (code) DEDUPFS_RETURN_IF_ERROR(FailFiles(directory, code));
  return found;
}

// Shows the logs in `directory` without the zeros behind their last record, damaged ones too.
WalFiles FilesIn(const std::string& directory, const std::shared_ptr<rocksdb::FileSystem>& below) {
  WalFiles files = NewWalFiles(below, directory);
  files.findings->refuse = false;
  return files;
}

class Salvager {
 public:
  Salvager(std::string path, std::string scratch, std::string target, const KvOptions& options)
      : path_(std::move(path)),
        scratch_(std::move(scratch)),
        target_(std::move(target)),
        options_(options) {}

  Result<Salvage> Run();

 private:
  Status OpenTarget();
  // False: the source cannot be read to its end. An error is one of the target.
  Result<bool> Copy(Kv& source, bool tell_gaps);
  Status Put(Family family, std::string_view key, std::string_view value);
  Status Flush();
  Result<bool> CopyByTheOnlyManifest();
  Status Rebuild();
  void ReadManifest();
  Status MakeMarks();
  Status LinkFiles();
  Status FillFromBroken();

  const std::string path_, scratch_, target_;
  const KvOptions options_;
  Salvage result_;
  Batch batch_;
  std::optional<Tables> tables_;  // as the manifest says; none where it cannot be read
};

Status Salvager::OpenTarget() {
  result_.kv.reset();
  std::error_code code;
  files::remove_all(target_, code);
  if (code) return FailFiles(target_, code);
  KvOptions options = options_;
  options.create = true;
  options.read_only = false;
  DEDUPFS_ASSIGN_OR_RETURN(result_.kv, Kv::Open(target_, options));
  result_.rows = 0;
  batch_ = Batch();
  return Ok();
}

Status Salvager::Flush() {
  if (batch_.empty()) return Ok();
  DEDUPFS_RETURN_IF_ERROR(result_.kv->Write(batch_, Durability::kBuffered));
  batch_ = Batch();
  return Ok();
}

Status Salvager::Put(Family family, std::string_view key, std::string_view value) {
  batch_.Put(family, key, value);
  ++result_.rows;
  return batch_.size_bytes() >= kBatchBytes ? Flush() : Ok();
}

Result<bool> Salvager::Copy(Kv& source, bool tell_gaps) {
  bool whole = true;
  for (size_t i = 0; i < kFamilyCount; ++i) {
    const auto family = static_cast<Family>(i);
    const auto rows = source.Iterate(family, "", "");
    std::string last;
    for (; rows->Valid(); rows->Next()) {
      if (rows->key() == kMark) continue;
      DEDUPFS_RETURN_IF_ERROR(Put(family, rows->key(), rows->value()));
      last = rows->key();
    }
    const Status status = rows->status();
    if (status) continue;
    whole = false;
    if (!tell_gaps) break;
    result_.gaps.push_back({family, last, "", status.error().message});
  }
  DEDUPFS_RETURN_IF_ERROR(Flush());
  return whole;
}

// What the manifest tells is needed for the names of what is lost, and for nothing else.
void Salvager::ReadManifest() {
  KvOptions read_only = options_;
  read_only.read_only = true;
  rocksdb::DBOptions options = RocksDbOptions(read_only);
  const auto env = rocksdb::NewCompositeEnv(FilesIn(path_, rocksdb::FileSystem::Default()).files);
  options.env = env.get();
  options.paranoid_checks = false;
  options.skip_checking_sst_file_sizes_on_db_open = true;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::OpenForReadOnly(options, path_, RocksFamilies(read_only), &handles, &opened);
  if (!status.ok()) return;
  const std::unique_ptr<rocksdb::DB> db(opened);
  std::vector<rocksdb::LiveFileMetaData> live;
  db->GetLiveFilesMetaData(&live);
  std::map<std::string, int> deepest;
  for (const auto& file : live) {
    int& level = deepest[file.column_family_name];
    level = std::max(level, file.level);
  }
  tables_.emplace();
  for (const auto& file : live) {
    BrokenTable& table = (*tables_)[file.relative_filename];
    table.family = FamilyOfName(file.column_family_name);
    table.smallest = file.smallestkey;
    table.largest = file.largestkey;
    table.level = file.level;
    table.bottom = file.level > 0 && file.level == deepest[file.column_family_name];
  }
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
}

Status Salvager::MakeMarks() {
  std::error_code code;
  files::remove_all(scratch_, code);
  if (code) return FailFiles(scratch_, code);
  KvOptions options = options_;
  options.create = true;
  {
    DEDUPFS_ASSIGN_OR_RETURN(const auto kv, Kv::Open(scratch_, options));
    Batch batch;
    for (size_t i = 0; i < kFamilyCount; ++i) batch.Put(static_cast<Family>(i), kMark, {});
    DEDUPFS_RETURN_IF_ERROR(kv->Write(batch, Durability::kBuffered));
    DEDUPFS_RETURN_IF_ERROR(kv->CompactAll());
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<files::path> made, FilesOf(scratch_));
  uint64_t number = kMarkTables;
  for (const files::path& file : made) {
    if (file.extension() == ".sst") {
      files::rename(file, scratch_ + "/" + std::to_string(number++) + ".sst", code);
    } else {
      files::remove(file, code);
    }
    if (code) return FailFiles(file.string(), code);
  }
  return Ok();
}

Status Salvager::LinkFiles() {
  std::error_code code;
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<files::path> names, FilesOf(path_));
  for (const files::path& file : names) {
    const std::string to = scratch_ + "/" + file.filename().string();
    if (file.extension() == ".sst") {
      if (tables_ && !tables_->contains(file.filename().string())) continue;
      files::create_hard_link(file, to, code);
      if (code) files::copy_file(file, to, code);
    } else if (file.extension() == ".log") {
      files::copy_file(file, to, code);
    }
    if (code) return FailFiles(file.string(), code);
  }
  return Ok();
}

// False: CURRENT is not what is damaged, or not all of it. Of two manifests the later may have been
// written in part when CURRENT was to name it, and the earlier may name tables that are gone.
Result<bool> Salvager::CopyByTheOnlyManifest() {
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<files::path> names, FilesOf(path_));
  std::string manifest;
  for (const files::path& file : names) {
    const std::string name = file.filename();
    if (!name.starts_with("MANIFEST-")) continue;
    if (!manifest.empty()) return false;
    manifest = name + "\n";
  }
  std::ifstream current(path_ + "/CURRENT", std::ios::binary);
  const std::string named{std::istreambuf_iterator<char>(current), {}};
  if (manifest.empty() || named == manifest) return false;
  std::error_code code;
  files::remove_all(scratch_, code);
  if (!code) files::create_directory(scratch_, code);
  if (code) DEDUPFS_RETURN_IF_ERROR(FailFiles(scratch_, code));
  DEDUPFS_RETURN_IF_ERROR(LinkFiles());
  manifest.pop_back();
  files::copy_file(path_ + "/" + manifest, scratch_ + "/" + manifest, code);
  if (code) DEDUPFS_RETURN_IF_ERROR(FailFiles(manifest, code));
  std::ofstream mended(scratch_ + "/CURRENT", std::ios::binary);
  mended << manifest << '\n' << std::flush;
  if (!mended) return Fail(EIO, scratch_ + "/CURRENT: cannot be written");
  KvOptions options = options_;
  options.read_only = true;
  options.create = false;
  const auto source = Kv::Open(scratch_, options);
  if (!source) return false;
  DEDUPFS_RETURN_IF_ERROR(OpenTarget());
  return Copy(**source, false);
}

Status Salvager::Rebuild() {
  ReadManifest();
  DEDUPFS_RETURN_IF_ERROR(OpenTarget());
  DEDUPFS_RETURN_IF_ERROR(MakeMarks());
  DEDUPFS_RETURN_IF_ERROR(LinkFiles());
  KvOptions options = options_;
  rocksdb::DBOptions db_options = RocksDbOptions(options);
  const WalFiles logs =
      FilesIn(scratch_, options.file_system != nullptr ? options.file_system
                                                       : rocksdb::FileSystem::Default());
  const auto env = rocksdb::NewCompositeEnv(logs.files);
  db_options.env = env.get();
  const rocksdb::Status repaired = rocksdb::RepairDB(scratch_, db_options, RocksFamilies(options));
  if (!repaired.ok()) {
    return Fail(EIO, "salvage of " + path_ + ": " + repaired.ToString());
  }
  options.read_only = true;
  options.create = false;
  {
    DEDUPFS_ASSIGN_OR_RETURN(const auto source, Kv::Open(scratch_, options));
    DEDUPFS_RETURN_IF_ERROR(Copy(*source, true));
  }
  if (!logs.findings->damage.empty()) {
    result_.gaps.push_back({std::nullopt, "", "", "the write-ahead log " + logs.findings->damage});
  }
  if (!tables_) {
    result_.tables_unlisted = true;
    result_.gaps.push_back({std::nullopt, "", "", "the list of tables of the database is lost"});
  }
  return FillFromBroken();
}

Status Salvager::FillFromBroken() {
  std::error_code code;
  Tables broken;
  const std::string lost = scratch_ + "/lost";
  for (files::directory_iterator entry(lost, code); !code && entry != files::directory_iterator();
       entry.increment(code)) {
    if (entry->path().extension() == ".sst")
      broken[entry->path().filename().string()] = BrokenTable();
  }
  if (tables_) {
    for (const auto& [file, table] : *tables_) {
      const bool there = files::exists(path_ + "/" + file, code);
      if (const auto found = broken.find(file); found != broken.end()) {
        found->second = table;
      } else if (!there) {
        broken[file] = table;
      }
    }
  }
  if (broken.empty()) return Ok();
  const std::set<Family> deleting = FamiliesWithDeletions(scratch_);
  for (const auto& [file, table] : broken) {
    DEDUPFS_RETURN_IF_ERROR(FillFromTable(path_ + "/" + file, table, deleting, *result_.kv,
                                          result_.rows, result_.gaps));
  }
  return Ok();
}

Result<Salvage> Salvager::Run() {
  std::error_code code;
  const bool there = files::exists(path_, code);
  if (code) DEDUPFS_RETURN_IF_ERROR(FailFiles(path_, code));
  if (!there) {
    result_.whole = false;
    result_.gaps.push_back({std::nullopt, "", "", path_ + ": there is no database"});
    DEDUPFS_RETURN_IF_ERROR(OpenTarget());
    return std::move(result_);
  }
  KvOptions options = options_;
  options.read_only = true;
  options.create = false;
  auto source = Kv::Open(path_, options);
  if (source) {
    DEDUPFS_RETURN_IF_ERROR(OpenTarget());
    DEDUPFS_ASSIGN_OR_RETURN(const bool whole, Copy(**source, false));
    if (whole) return std::move(result_);
  }
  result_.whole = false;
  bool copied = false;
  if (source) {
    source->reset();
  } else {
    DEDUPFS_ASSIGN_OR_RETURN(copied, CopyByTheOnlyManifest());
  }
  if (!copied) DEDUPFS_RETURN_IF_ERROR(Rebuild());
  files::remove_all(scratch_, code);
  return std::move(result_);
}

}  // namespace

Result<Salvage> SalvageDatabase(const std::string& path, const std::string& scratch,
                                const std::string& target, const KvOptions& options) {
  return Salvager(path, scratch, target, options).Run();
}

}  // namespace dedupfs
