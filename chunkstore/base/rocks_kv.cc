#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/status.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/log.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/base/rocks_log_replay.h"
#include "chunkstore/base/rocks_options.h"
#include "chunkstore/base/rocks_wal_files.h"

namespace dedupfs {
namespace {

rocksdb::Slice ToSlice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view FromSlice(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

int ErrnoOf(const rocksdb::Status& status) {
  using rocksdb::Status;
  if (status.subcode() == Status::kNoSpace || status.subcode() == Status::kSpaceLimit) {
    return ENOSPC;
  }
  switch (status.code()) {
    case Status::kInvalidArgument:
      return EINVAL;
    case Status::kOk:
    case Status::kNotFound:
    case Status::kCorruption:
    case Status::kNotSupported:
    case Status::kIOError:
    case Status::kMergeInProgress:
    case Status::kIncomplete:
    case Status::kShutdownInProgress:
    case Status::kTimedOut:
    case Status::kAborted:
    case Status::kBusy:
    case Status::kExpired:
    case Status::kTryAgain:
    case Status::kCompactionTooLarge:
    case Status::kColumnFamilyDropped:
    case Status::kMaxCode:
      return EIO;
  }
  return EIO;
}

tl::unexpected<Error> FailRocks(const std::string& what, const rocksdb::Status& status) {
  return Fail(ErrnoOf(status), "database " + what + ": " + status.ToString());
}

Status ToStatus(const std::string& what, const rocksdb::Status& status) {
  if (status.ok()) return Ok();
  return FailRocks(what, status);
}

class RocksIterator : public KvIterator {
 public:
  RocksIterator(rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family, std::string_view lower,
                std::string_view upper)
      : upper_(upper), upper_slice_(upper_) {
    rocksdb::ReadOptions options;
    options.total_order_seek = true;
    if (!upper_.empty()) options.iterate_upper_bound = &upper_slice_;
    iterator_.reset(db.NewIterator(options, family));
    iterator_->Seek(ToSlice(lower));
  }

  bool Valid() const override { return iterator_->Valid(); }
  void Next() override { iterator_->Next(); }
  std::string_view key() const override { return FromSlice(iterator_->key()); }
  std::string_view value() const override { return FromSlice(iterator_->value()); }
  Status status() const override { return ToStatus("iterate", iterator_->status()); }

 private:
  // RocksDB keeps a pointer to the bound, so it lives (and stays) here.
  const std::string upper_;
  const rocksdb::Slice upper_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksKv : public Kv {
 public:
  RocksKv(std::string path, std::unique_ptr<rocksdb::Env> env, const WalFiles& files,
          std::unique_ptr<rocksdb::DB> db, std::vector<rocksdb::ColumnFamilyHandle*> families,
          bool read_only)
      : path_(std::move(path)),
        log_failure_(files.failure),
        log_synced_(files.synced),
        env_(std::move(env)),
        db_(std::move(db)),
        families_(std::move(families)),
        read_only_(read_only) {}
  ~RocksKv() override;
  RocksKv(const RocksKv&) = delete;
  RocksKv& operator=(const RocksKv&) = delete;

  Result<std::optional<std::string>> Get(Family family, std::string_view key) override;
  Result<std::vector<std::optional<std::string>>> MultiGet(
      Family family, std::span<const std::string_view> keys) override;
  Status Write(const Batch& batch, Durability durability) override;
  Status SyncLog() override { return FlushWal(true); }
  Status FlushLog() override { return FlushWal(false); }
  std::unique_ptr<KvIterator> Iterate(Family family, std::string_view lower,
                                      std::string_view upper) override {
    return std::make_unique<RocksIterator>(*db_, Handle(family), lower, upper);
  }
  Status Failure() const override;
  Result<uint64_t> DiskBytes() override;
  Status Checkpoint(const std::string& path) override;
  Status CompactAll() override;

 private:
  rocksdb::ColumnFamilyHandle* Handle(Family family) const {
    return families_[static_cast<size_t>(family)];
  }
  Status FlushWal(bool sync);
  // Keeps the first failure: after it nobody knows what the log holds.
  Status Note(const std::string& what, const rocksdb::Status& status);

  const std::string path_;
  const std::shared_ptr<const WalFailure> log_failure_;
  const std::shared_ptr<const LogSynced> log_synced_;
  const std::unique_ptr<rocksdb::Env> env_;  // what db_ works with to its end
  std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> families_;
  const bool read_only_;
  mutable Mutex mutex_;
  std::optional<std::string> failure_ GUARDED_BY(mutex_);
};

RocksKv::~RocksKv() {
  if (Failure()) {
    Status closed = FlushWal(false);
    // Into tables, so that damage of a log means nothing to a database that nobody has open.
    if (closed) closed = Note("flush", db_->Flush(rocksdb::FlushOptions(), families_));
    if (!closed) LogError("database_close_failed", "error=" + closed.error().message);
  }
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    db_->DestroyColumnFamilyHandle(family).PermitUncheckedError();
  }
}

Result<std::optional<std::string>> RocksKv::Get(Family family, std::string_view key) {
  std::string value;
  const rocksdb::Status status =
      db_->Get(rocksdb::ReadOptions(), Handle(family), ToSlice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return FailRocks("get", status);
  return value;
}

Result<std::vector<std::optional<std::string>>> RocksKv::MultiGet(
    Family family, std::span<const std::string_view> keys) {
  std::vector<rocksdb::Slice> slices;
  slices.reserve(keys.size());
  for (const std::string_view key : keys) slices.push_back(ToSlice(key));
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  if (!keys.empty()) {
    db_->MultiGet(rocksdb::ReadOptions(), Handle(family), keys.size(), slices.data(), values.data(),
                  statuses.data());
  }
  std::vector<std::optional<std::string>> found(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].IsNotFound()) continue;
    if (!statuses[i].ok()) return FailRocks("multiget", statuses[i]);
    found[i] = values[i].ToString();
  }
  return found;
}

Status RocksKv::Write(const Batch& batch, Durability durability) {
  DEDUPFS_RETURN_IF_ERROR(Failure());
  rocksdb::WriteBatch changes(batch.size_bytes());
  const size_t count = ChangeCount(batch);
  for (size_t i = 0; i < count; ++i) {
    const ChangeView change = ChangeAt(batch, i);
    rocksdb::ColumnFamilyHandle* const family = Handle(change.family);
    const rocksdb::Status added =
        change.is_delete ? changes.Delete(family, ToSlice(change.key))
                         : changes.Put(family, ToSlice(change.key), ToSlice(change.value));
    if (!added.ok()) return FailRocks("batch", added);
  }
  // Last in the batch, where a reader of the log looks for it.
  const rocksdb::Status marked = changes.PutLogData(LogMark(log_synced_->Get()));
  if (!marked.ok()) return FailRocks("batch", marked);
  rocksdb::WriteOptions options;
  options.sync = durability == Durability::kSynced;
  return Note("write", db_->Write(options, &changes));
}

Status RocksKv::FlushWal(bool sync) {
  if (read_only_) return Ok();
  DEDUPFS_RETURN_IF_ERROR(Failure());
  return Note(sync ? "log sync" : "log flush", db_->FlushWAL(sync));
}

Status RocksKv::Note(const std::string& what, const rocksdb::Status& status) {
  // RocksDB does not learn of a log that failed, so its success is none then.
  const bool log_failed = status.ok() && log_failure_->Failed();
  if (status.ok() && !log_failed) return Ok();
  auto error = FailRocks(what, log_failed ? log_failure_->First() : status);
  MutexLock lock(mutex_);
  if (!failure_) failure_ = error.value().message;
  return error;
}

Status RocksKv::Failure() const {
  if (read_only_) return Fail(EROFS, path_ + ": opened read-only");
  if (log_failure_->Failed()) {
    return Fail(EROFS, "read-only since: " + log_failure_->First().ToString());
  }
  MutexLock lock(mutex_);
  if (failure_) return Fail(EROFS, "read-only since: " + *failure_);
  return Ok();
}

Result<uint64_t> RocksKv::DiskBytes() {
  namespace fs = std::filesystem;
  std::error_code code;
  uint64_t total = 0;
  fs::directory_iterator file(path_, code);
  while (!code && file != fs::directory_iterator()) {
    std::error_code gone;  // a compaction may remove a file while we look
    const uint64_t size = file->is_regular_file(gone) ? file->file_size(gone) : 0;
    if (!gone) total += size;
    file.increment(code);
  }
  if (code) return Fail(code.value(), path_ + ": " + code.message());
  return total;
}

Status RocksKv::Checkpoint(const std::string& path) {
  DEDUPFS_RETURN_IF_ERROR(Failure());
  rocksdb::Checkpoint* raw = nullptr;
  DEDUPFS_RETURN_IF_ERROR(ToStatus("checkpoint", rocksdb::Checkpoint::Create(db_.get(), &raw)));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  // Without a flush it would lack what the log has in memory only (manual_wal_flush).
  constexpr uint64_t kFlushAlways = 0;
  DEDUPFS_RETURN_IF_ERROR(
      ToStatus("checkpoint " + path, checkpoint->CreateCheckpoint(path, kFlushAlways)));
  return Failure();  // of the log, meanwhile: the copy of it would be short
}

Status RocksKv::CompactAll() {
  DEDUPFS_RETURN_IF_ERROR(Failure());
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  for (rocksdb::ColumnFamilyHandle* family : families_) {
    DEDUPFS_RETURN_IF_ERROR(
        ToStatus("compact", db_->CompactRange(options, family, nullptr, nullptr)));
  }
  return Ok();
}

// RocksDB has one code for all of these.
Status CheckPresence(const std::string& path, bool create) {
  std::error_code code;
  const bool present = std::filesystem::exists(path + "/CURRENT", code);
  if (code) return Fail(code.value(), path + ": " + code.message());
  if (present && create) return Fail(EEXIST, path + ": there is a database already");
  if (!present && !create) return Fail(ENOENT, path + ": no database");
  return Ok();
}

}  // namespace

Result<std::unique_ptr<Kv>> Kv::Open(const std::string& path, const KvOptions& options) {
  if (options.create && options.read_only) {
    return Fail(EINVAL, path + ": a new database cannot be read-only");
  }
  DEDUPFS_RETURN_IF_ERROR(CheckPresence(path, options.create));
  const std::shared_ptr<rocksdb::FileSystem> below =
      options.file_system != nullptr ? options.file_system : rocksdb::FileSystem::Default();
  const auto replay =
      options.replay_progress ? std::make_shared<LogReplay>(options.replay_progress) : nullptr;
  const WalFiles files = NewWalFiles(below, path, replay);
  std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(files.files);
  rocksdb::DBOptions db_options = RocksDbOptions(options);
  db_options.env = env.get();
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = RocksFamilies(options);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      options.read_only ? rocksdb::DB::OpenForReadOnly(db_options, path, families, &handles, &db)
                        : rocksdb::DB::Open(db_options, path, families, &handles, &db);
  files.findings->replayed.store(true);
  if (replay != nullptr) replay->End();
  if (!status.ok()) return FailRocks("open " + path, status);
  auto kv = std::make_unique<RocksKv>(path, std::move(env), files, std::unique_ptr<rocksdb::DB>(db),
                                      std::move(handles), options.read_only);
  if (files.failure->Failed()) return FailRocks("open " + path, files.failure->First());
  return kv;
}

}  // namespace dedupfs
