#include "tools/dedupfs/selftest/crash_writer.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "chunkstore/base/error.h"
#include "control/client.h"

namespace dedupfs {
namespace {

constexpr uint64_t kNames = 30;  // few, so that each is met in many ways
constexpr uint64_t kMaxWrite = 200'000;
constexpr size_t kMaxFile = 2 << 20;
constexpr uint64_t kMaintenanceEvery = 400;  // operations

Content Share(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

// An open file of the mount. Close() tells the error that the last one of the kernel's own writes
// met; the destructor is for the ways out that have an error already.
class OpenedFile {
 public:
  static Result<OpenedFile> Open(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    if (fd < 0) return FailErrno("open " + path);
    return OpenedFile(fd, path);
  }
  OpenedFile(OpenedFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  OpenedFile& operator=(OpenedFile&&) = delete;
  OpenedFile(const OpenedFile&) = delete;
  OpenedFile& operator=(const OpenedFile&) = delete;
  ~OpenedFile() {
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const { return fd_; }
  Status Close() {
    if (::close(std::exchange(fd_, -1)) != 0) return FailErrno("close " + path_);
    return Ok();
  }

 private:
  OpenedFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

}  // namespace

CrashWriter::CrashWriter(std::string directory, std::string store, CrashModel& model,
                         const std::vector<std::string>& pieces, StepCounter& steps, uint64_t seed)
    : directory_(std::move(directory)),
      store_(std::move(store)),
      model_(model),
      pieces_(pieces),
      steps_(steps),
      random_(seed) {}

void CrashWriter::Run() {
  while (true) {
    const Status worked = WorkOnce();
    if (worked) continue;
    if (worked.error().code != ECANCELED && !steps_.cut_has_begun()) {
      fault_ = worked.error().message;
    }
    break;
  }
  steps_.WriterEnded();
}

Status CrashWriter::WorkOnce() {
  if (random_.OneIn(kMaintenanceEvery)) return Maintain();
  using Operation = Status (CrashWriter::*)();
  static constexpr Operation kOperations[] = {
      &CrashWriter::Create,  &CrashWriter::Create,    &CrashWriter::Append,
      &CrashWriter::Append,  &CrashWriter::Overwrite, &CrashWriter::Resize,
      &CrashWriter::Replace, &CrashWriter::Replace,   &CrashWriter::Delete};
  return (this->*kOperations[random_.Below(std::size(kOperations))])();
}

Status CrashWriter::Step() {
  if (steps_.Step()) return Ok();
  return Fail(ECANCELED, "the cut has begun");
}

std::string CrashWriter::PickName() { return "file" + std::to_string(random_.Below(kNames)); }

// Empty where there is none.
std::string CrashWriter::PickExisting() {
  if (model_.current().empty()) return "";
  auto at = model_.current().begin();
  std::advance(at, random_.Below(model_.current().size()));
  return at->first;
}

std::string CrashWriter::PickContent() {
  std::string content;
  const uint64_t count = random_.OneIn(10) ? 8 : 1;
  for (uint64_t i = 0; i < count; ++i) content += pieces_[random_.Below(pieces_.size())];
  if (random_.OneIn(5)) content += random_.Bytes(random_.Below(100'000));
  if (content.size() > kMaxFile) content.resize(kMaxFile);
  return content;
}

Status CrashWriter::WriteAt(int fd, const std::string& bytes, uint64_t offset) {
  size_t done = 0;
  while (done < bytes.size()) {
    DEDUPFS_RETURN_IF_ERROR(Step());
    const size_t size = std::min<size_t>(bytes.size() - done, 1 + random_.Below(kMaxWrite));
    const ssize_t put = ::pwrite(fd, bytes.data() + done, size, static_cast<off_t>(offset + done));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return FailErrno("write in " + directory_);
    done += static_cast<size_t>(put);
  }
  return Ok();
}

// OK says that the sync was acknowledged before the cut began. An answer that came later nobody
// would have received from a machine without power, and the kernel is free to lie then: ext4 and
// XFS answer some fdatasyncs that their shutdown overtook with success, though the data is lost.
Status CrashWriter::Sync(int fd) {
  DEDUPFS_RETURN_IF_ERROR(Step());
  if ((random_.OneIn(2) ? ::fsync(fd) : ::fdatasync(fd)) != 0) {
    return FailErrno("sync in " + directory_);
  }
  if (steps_.cut_has_begun()) return Fail(ECANCELED, "acknowledged after the cut had begun");
  return Ok();
}

Status CrashWriter::SyncDirectory() {
  DEDUPFS_ASSIGN_OR_RETURN(OpenedFile self, OpenedFile::Open(directory_, O_RDONLY | O_DIRECTORY));
  DEDUPFS_RETURN_IF_ERROR(Sync(self.fd()));
  model_.NamesSynced();
  return self.Close();
}

Status CrashWriter::WriteNew(const std::string& name, const std::string& bytes, bool sync) {
  DEDUPFS_RETURN_IF_ERROR(Step());
  DEDUPFS_ASSIGN_OR_RETURN(OpenedFile file,
                           OpenedFile::Open(PathOf(name), O_WRONLY | O_CREAT | O_TRUNC));
  DEDUPFS_RETURN_IF_ERROR(WriteAt(file.fd(), bytes, 0));
  if (sync) {
    DEDUPFS_RETURN_IF_ERROR(Sync(file.fd()));
    model_.FileSynced(name);
  }
  return file.Close();
}

Status CrashWriter::Create() {
  const std::string name = PickName();
  const Content content = Share(PickContent());
  model_.WillRewrite(name, content);
  return WriteNew(name, *content, random_.OneIn(2));
}

Status CrashWriter::Append() {
  const std::string name = PickExisting();
  if (name.empty()) return Ok();
  const Content before = model_.CurrentOf(name);
  const std::string added =
      random_.OneIn(2) ? PickContent() : random_.Bytes(1 + random_.Below(5'000));
  if (before->size() + added.size() > 2 * kMaxFile) return Ok();
  model_.WillAppend(name, Share(*before + added));
  DEDUPFS_RETURN_IF_ERROR(Step());
  DEDUPFS_ASSIGN_OR_RETURN(OpenedFile file, OpenedFile::Open(PathOf(name), O_WRONLY));
  DEDUPFS_RETURN_IF_ERROR(WriteAt(file.fd(), added, before->size()));
  if (random_.OneIn(2)) {
    DEDUPFS_RETURN_IF_ERROR(Sync(file.fd()));
    model_.FileSynced(name);
  }
  return file.Close();
}

Status CrashWriter::Overwrite() {
  const std::string name = PickExisting();
  if (name.empty() || model_.CurrentOf(name)->empty()) return Ok();
  std::string whole = *model_.CurrentOf(name);
  const uint64_t offset = random_.Below(whole.size());
  const uint64_t limit = random_.OneIn(3) ? kMaxWrite : 4096;
  const uint64_t size = std::min<uint64_t>(1 + random_.Below(limit), whole.size() - offset);
  const std::string bytes = random_.Bytes(size);
  whole.replace(offset, size, bytes);
  model_.WillOverwrite(name, Share(std::move(whole)));
  DEDUPFS_RETURN_IF_ERROR(Step());
  DEDUPFS_ASSIGN_OR_RETURN(OpenedFile file, OpenedFile::Open(PathOf(name), O_WRONLY));
  DEDUPFS_RETURN_IF_ERROR(WriteAt(file.fd(), bytes, offset));
  if (random_.OneIn(2)) {
    DEDUPFS_RETURN_IF_ERROR(Sync(file.fd()));
    model_.FileSynced(name);
  }
  return file.Close();
}

Status CrashWriter::Resize() {
  const std::string name = PickExisting();
  if (name.empty()) return Ok();
  std::string whole = *model_.CurrentOf(name);
  const uint64_t size =
      random_.OneIn(2) ? random_.Below(whole.size() + 1) : whole.size() + random_.Below(50'000);
  whole.resize(size);
  model_.WillResize(name, Share(std::move(whole)));
  DEDUPFS_RETURN_IF_ERROR(Step());
  DEDUPFS_ASSIGN_OR_RETURN(OpenedFile file, OpenedFile::Open(PathOf(name), O_WRONLY));
  if (::ftruncate(file.fd(), static_cast<off_t>(size)) != 0) {
    return FailErrno("truncate in " + directory_);
  }
  if (random_.OneIn(2)) {
    DEDUPFS_RETURN_IF_ERROR(Sync(file.fd()));
    model_.FileSynced(name);
  }
  return file.Close();
}

Status CrashWriter::Replace() {
  const std::string name = PickName();
  const std::string temporary = std::string(kTemporaryPrefix) + name;
  const Content content = Share(PickContent());
  const bool sync_first = random_.OneIn(2);
  DEDUPFS_RETURN_IF_ERROR(WriteNew(temporary, *content, false));
  if (sync_first) {
    DEDUPFS_ASSIGN_OR_RETURN(OpenedFile file, OpenedFile::Open(PathOf(temporary), O_WRONLY));
    DEDUPFS_RETURN_IF_ERROR(Sync(file.fd()));
    model_.NamesSynced();
    DEDUPFS_RETURN_IF_ERROR(file.Close());
  }
  model_.WillReplace(name, content, sync_first);
  DEDUPFS_RETURN_IF_ERROR(Step());
  if (::rename(PathOf(temporary).c_str(), PathOf(name).c_str()) != 0) {
    return FailErrno("rename in " + directory_);
  }
  model_.NameChanged(name);
  return random_.OneIn(2) ? SyncDirectory() : Ok();
}

Status CrashWriter::Delete() {
  const std::string name = PickExisting();
  if (name.empty()) return Ok();
  model_.WillDelete(name);
  DEDUPFS_RETURN_IF_ERROR(Step());
  if (::unlink(PathOf(name).c_str()) != 0) return FailErrno("unlink in " + directory_);
  model_.NameChanged(name);
  return random_.OneIn(3) ? SyncDirectory() : Ok();
}

// Dropping and rewriting of packs, so that the cut also meets them.
Status CrashWriter::Maintain() {
  DEDUPFS_RETURN_IF_ERROR(Step());
  DEDUPFS_ASSIGN_OR_RETURN(ControlClient client, ControlClient::Connect(store_));
  DEDUPFS_RETURN_IF_ERROR(
      client.Call(random_.OneIn(2) ? "reclaim" : "recompress", nlohmann::json::object()));
  return Ok();
}

}  // namespace dedupfs
