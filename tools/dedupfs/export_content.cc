#include "tools/dedupfs/export_content.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>

#include "tools/dedupfs/export_target.h"

namespace dedupfs {
namespace {

// How far apart a readable byte is looked for behind one that is not. Only pieces that overwrites
// have left are shorter, and those between two lost chunks may be taken for lost with them.
constexpr uint64_t kProbeBytes = 4096;

class ContentCopy {
 public:
  ContentCopy(FileSystem& file_system, OpenFile& file, uint64_t size, int fd, MutableBytes buffer,
              const CopyHooks& hooks)
      : file_system_(file_system),
        file_(file),
        size_(size),
        fd_(fd),
        buffer_(buffer),
        hooks_(hooks) {}

  Result<CopiedContent> Run();

 private:
  Result<size_t> Read(uint64_t at, uint64_t wanted) {
    return file_system_.Read(file_, at, buffer_.first(std::min<uint64_t>(wanted, buffer_.size())));
  }
  bool CanRead(uint64_t at, uint64_t length) {
    const auto got = Read(at, length);
    return got && *got == length;
  }
  Status CopyData(uint64_t at, uint64_t end);
  Status Write(uint64_t at, size_t bytes);
  // The longest readable piece at `at`, where `length` bytes are not.
  uint64_t ReadablePrefix(uint64_t at, uint64_t length);
  // Where something can be read again behind `at`, which cannot; `end` if nothing before it.
  uint64_t EndOfLost(uint64_t at, uint64_t end);
  void Lose(uint64_t at, uint64_t end, const Error& error) {
    result_.lost_bytes += end - at;
    if (hooks_.lost) hooks_.lost(at, end - at, error);
  }

  FileSystem& file_system_;
  OpenFile& file_;
  const uint64_t size_;
  const int fd_;
  const MutableBytes buffer_;
  const CopyHooks& hooks_;
  CopiedContent result_;
};

Status ContentCopy::Write(uint64_t at, size_t bytes) {
  DEDUPFS_RETURN_IF_ERROR(WriteAll(fd_, at, Bytes(buffer_).first(bytes)));
  result_.copied_bytes += bytes;
  if (hooks_.copied) hooks_.copied(bytes);
  return Ok();
}

uint64_t ContentCopy::ReadablePrefix(uint64_t at, uint64_t length) {
  uint64_t good = 0;
  uint64_t bad = length;
  while (bad - good > 1) {
    const uint64_t middle = good + (bad - good) / 2;
    (CanRead(at, middle) ? good : bad) = middle;
  }
  return good;
}

uint64_t ContentCopy::EndOfLost(uint64_t at, uint64_t end) {
  uint64_t bad = at;
  uint64_t good = at;
  do {
    bad = good;
    if (end - bad <= kProbeBytes) {
      if (!CanRead(end - 1, 1)) return end;
      good = end - 1;
      break;
    }
    good = bad + kProbeBytes;
  } while (!CanRead(good, 1));
  while (good - bad > 1) {
    const uint64_t middle = bad + (good - bad) / 2;
    (CanRead(middle, 1) ? good : bad) = middle;
  }
  return good;
}

Status ContentCopy::CopyData(uint64_t at, uint64_t end) {
  while (at < end) {
    const uint64_t wanted = std::min<uint64_t>(end - at, buffer_.size());
    auto got = Read(at, wanted);
    std::optional<Error> error;
    if (!got) {
      error = got.error();
      if (const uint64_t good = ReadablePrefix(at, wanted); good > 0) got = Read(at, good);
    }
    if (got && *got > 0) {
      DEDUPFS_RETURN_IF_ERROR(Write(at, *got));
      at += *got;
    } else if (!error) {
      Lose(at, end, {EIO, "the content ends before the file does"});
      return Ok();
    }
    if (error) {
      const uint64_t lost_to = EndOfLost(at, end);
      Lose(at, lost_to, *error);
      at = lost_to;
    }
  }
  return Ok();
}

Result<CopiedContent> ContentCopy::Run() {
  uint64_t at = 0;
  while (at < size_) {
    const auto data = file_system_.Seek(file_, at, SEEK_DATA);
    if (!data && data.error().code == ENXIO) break;
    const auto hole = data ? file_system_.Seek(file_, *data, SEEK_HOLE) : data;
    if (!hole) {
      // Where holes are is not known then, and to look for data might take until the end of days.
      Lose(at, size_, hole.error());
      break;
    }
    at = std::min(*hole, size_);
    DEDUPFS_RETURN_IF_ERROR(CopyData(*data, at));
  }
  if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) return FailErrno("set the size");
  return result_;
}

}  // namespace

Result<CopiedContent> CopyContent(FileSystem& file_system, OpenFile& file, uint64_t size, int fd,
                                  MutableBytes buffer, const CopyHooks& hooks) {
  return ContentCopy(file_system, file, size, fd, buffer, hooks).Run();
}

}  // namespace dedupfs
