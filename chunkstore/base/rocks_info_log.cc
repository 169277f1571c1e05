#include "chunkstore/base/rocks_info_log.h"

#include <array>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>

#include "chunkstore/base/mutex.h"

namespace dedupfs {
namespace {

constexpr size_t kLongestLine = 4096;

class InfoLog : public rocksdb::Logger {
 public:
  explicit InfoLog(std::unique_ptr<rocksdb::FSWritableFile> file) : file_(std::move(file)) {}
  ~InfoLog() override { file_->Close(rocksdb::IOOptions(), nullptr).PermitUncheckedError(); }

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    std::array<char, kLongestLine> text{};
    const time_t now = time(nullptr);
    tm local{};
    localtime_r(&now, &local);
    const size_t start = strftime(text.data(), text.size(), "%Y/%m/%d-%H:%M:%S ", &local);
    vsnprintf(text.data() + start, text.size() - start, format, arguments);
    std::string line(text.data());
    if (!line.ends_with('\n')) line += '\n';
    MutexLock lock(mutex_);
    file_->Append(line, rocksdb::IOOptions(), nullptr).PermitUncheckedError();
    file_->Flush(rocksdb::IOOptions(), nullptr).PermitUncheckedError();
  }

 private:
  Mutex mutex_;
  const std::unique_ptr<rocksdb::FSWritableFile> file_ PT_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<rocksdb::Logger> NewInfoLog(std::unique_ptr<rocksdb::FSWritableFile> file) {
  return std::make_shared<InfoLog>(std::move(file));
}

}  // namespace dedupfs
