#include "chunkstore/base/rocks_log_file.h"

#include <cstddef>
#include <string>
#include <utility>

namespace dedupfs {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr size_t kZerosAhead = size_t{1} << 20;
// Of more than this between two syncs, a transaction of the file system is a small part.
constexpr uint64_t kSmallSync = uint64_t{64} << 10;

}  // namespace

LogFile::LogFile(const rocksdb::FileOptions& options, Told told,
                 std::unique_ptr<rocksdb::FSWritableFile> whole,
                 std::shared_ptr<rocksdb::FSRandomRWFile> file,
                 std::shared_ptr<rocksdb::FSRandomRWFile> before)
    : FSWritableFile(options),
      failure_(std::move(told.failure)),
      synced_(std::move(told.synced)),
      number_(told.number),
      whole_(std::move(whole)),
      file_(std::move(file)),
      before_(std::move(before)) {}

IOStatus LogFile::Append(const Slice& data, const IOOptions& options, IODebugContext* dbg) {
  // RocksDB has handed all of the log before to its file by now; it may have synced it meanwhile.
  if (const auto before = std::exchange(before_, nullptr)) {
    failure_->Quietly([&] { return before->Sync(options, dbg); }).PermitUncheckedError();
  }
  return failure_->Quietly([&] { return Write(data, options, dbg); });
}

IOStatus LogFile::Write(const Slice& data, const IOOptions& options, IODebugContext* dbg) {
  const uint64_t size = size_.load(std::memory_order_relaxed);
  IOStatus status = file_->Write(size, data, options, dbg);
  if (!status.ok()) return status;
  size_.store(size + data.size(), std::memory_order_release);
  appended_ += data.size();
  if (size + data.size() > zeros_end_) WriteZeros(size + data.size(), options, dbg);
  return status;
}

IOStatus LogFile::Flush(const IOOptions& options, IODebugContext* dbg) {
  return failure_->Quietly([&] { return file_->Flush(options, dbg); });
}

IOStatus LogFile::Sync(const IOOptions& options, IODebugContext* dbg) {
  syncs_.fetch_add(1, std::memory_order_relaxed);
  const uint64_t size = size_.load(std::memory_order_acquire);
  return Synced(failure_->Quietly([&] { return file_->Sync(options, dbg); }), size);
}

IOStatus LogFile::Fsync(const IOOptions& options, IODebugContext* dbg) {
  const uint64_t size = size_.load(std::memory_order_acquire);
  return Synced(failure_->Quietly([&] { return file_->Fsync(options, dbg); }), size);
}

// `size`: of the log before the sync; what is appended meanwhile may not be durable.
IOStatus LogFile::Synced(const IOStatus& status, uint64_t size) {
  if (!failure_->Failed()) synced_->Note({number_, size});
  return status;
}

uint64_t LogFile::GetFileSize(const IOOptions& /*options*/, IODebugContext* /*dbg*/) {
  return size_.load(std::memory_order_relaxed);
}

IOStatus LogFile::Truncate(uint64_t size, const IOOptions& options, IODebugContext* dbg) {
  size_.store(size, std::memory_order_relaxed);
  zeros_end_ = size;
  return failure_->Quietly([&] { return whole_->Truncate(size, options, dbg); });
}

IOStatus LogFile::Close(const IOOptions& options, IODebugContext* dbg) {
  const uint64_t size = size_.load(std::memory_order_relaxed);
  if (zeros_end_ > size) {
    failure_->Quietly([&] { return whole_->Truncate(size, options, dbg); }).PermitUncheckedError();
  }
  before_.reset();
  file_.reset();  // the log after this one may still have to sync it
  IOStatus closed = whole_->Close(options, dbg);
  return failure_->Quietly([&] { return closed; });
}

void LogFile::WriteZeros(uint64_t from, const IOOptions& options, IODebugContext* dbg) {
  const uint64_t syncs = syncs_.exchange(0, std::memory_order_relaxed);
  const uint64_t appended = std::exchange(appended_, 0);
  zeros_end_ = from;
  if (syncs == 0 || appended / syncs > kSmallSync) return;
  const std::string zeros(kZerosAhead, '\0');
  const IOStatus written = file_->Write(from, zeros, options, dbg);
  if (written.ok()) {
    zeros_end_ = from + zeros.size();
  } else if (!written.IsNoSpace()) {  // what is to be written may still fit into a full disk
    failure_->Set(written);
  }
}

}  // namespace dedupfs
