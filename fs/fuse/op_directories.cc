#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "fs/fuse/operations.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxListBytes = 1 << 20;

bool IsDotEntry(std::string_view name) { return name == "." || name == ".."; }

// Collects the entries of one answer.
class ListReply {
 public:
  ListReply(fuse_req_t request, size_t size)
      : request_(request), buffer_(std::min(size, kMaxListBytes), '\0') {}

  // False where it does not fit any more.
  bool Add(const DirectoryEntry& entry) {
    struct stat attributes = {};
    attributes.st_ino = entry.ino;
    attributes.st_mode = entry.type;
    return Take(fuse_add_direntry(request_, Space(), SpaceLeft(), entry.name.c_str(), &attributes,
                                  static_cast<off_t>(entry.cookie)));
  }

  bool AddWithAttributes(const DirectoryEntry& entry, const Attributes& attributes) {
    fuse_entry_param param = ToEntry(request_, attributes);
    const bool is_dot = IsDotEntry(entry.name);
    if (is_dot) param.ino = 0;  // the kernel counts no reference for . and ..
    if (!Take(fuse_add_direntry_plus(request_, Space(), SpaceLeft(), entry.name.c_str(), &param,
                                     static_cast<off_t>(entry.cookie)))) {
      return false;
    }
    if (!is_dot) remembered_.push_back(attributes.ino);
    return true;
  }

  void Send(std::string_view operation, Ino directory, const Status& listed) {
    // Entries that came before an error are good; the error comes again with the next request.
    if (!listed && used_ == 0) return ReplyError(request_, operation, directory, listed.error());
    FileSystem& fs = StateOf(request_).fs;
    if (fuse_reply_buf(request_, buffer_.data(), used_) == 0) return;
    for (const Ino ino : remembered_) fs.Forget(ino, 1);
  }

 private:
  char* Space() { return buffer_.data() + used_; }
  size_t SpaceLeft() const { return buffer_.size() - used_; }
  bool Take(size_t size) {
    if (size > SpaceLeft()) return false;
    used_ += size;
    return true;
  }

  fuse_req_t request_;
  std::string buffer_;
  size_t used_ = 0;
  std::vector<Ino> remembered_;
};

// Where the kernel offers it, ENOSYS means: directories need no OPENDIR ever, and what was read of
// them is kept.
void OpenDirectory(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  if (StateOf(request).opendir_optional) {
    fuse_reply_err(request, ENOSYS);
    return;
  }
  info->keep_cache = 1;
  info->cache_readdir = 1;
  fuse_reply_open(request, info);
}

void ReadDirectory(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
  Guarded(request, "readdir", ino, [&] {
    ListReply reply(request, size);
    const Status listed =
        StateOf(request).fs.List(ino, static_cast<uint64_t>(offset),
                                 [&](const DirectoryEntry& entry) { return reply.Add(entry); });
    reply.Send("readdir", ino, listed);
  });
}

void ReadDirectoryPlus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                       fuse_file_info*) {
  Guarded(request, "readdirplus", ino, [&] {
    ListReply reply(request, size);
    const Status listed = StateOf(request).fs.ListWithAttributes(
        ino, static_cast<uint64_t>(offset),
        [&](const DirectoryEntry& entry, const Attributes& attributes) {
          return reply.AddWithAttributes(entry, attributes);
        });
    reply.Send("readdirplus", ino, listed);
  });
}

void FsyncDirectory(fuse_req_t request, fuse_ino_t ino, int, fuse_file_info*) {
  Guarded(request, "fsyncdir", ino,
          [&] { ReplyStatus(request, "fsyncdir", ino, StateOf(request).fs.FsyncDirectory(ino)); });
}

}  // namespace

void SetDirectoryHandlers(fuse_lowlevel_ops& ops) {
  ops.opendir = OpenDirectory;
  ops.readdir = ReadDirectory;
  ops.readdirplus = ReadDirectoryPlus;
  ops.fsyncdir = FsyncDirectory;
}

}  // namespace dedupfs
