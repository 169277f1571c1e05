// What goes through an open file, and attributes.
//
// Clearing set-id bits is the file system's (FUSE_HANDLE_KILLPRIV_V2), and here left to the disk
// below: it clears them at a write, truncation or chown, though not for a pass-through that runs as
// root.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "tools/bench/passthrough_handlers.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxReadBytes = 1 << 20;

int HandleOf(const fuse_file_info* info) { return static_cast<int>(info->fh); }

// With the writeback cache the kernel reads through handles that were opened for writing only, and
// places appended bytes itself.
int FlagsToOpenWith(int flags) {
  if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
  return (flags & ~(O_APPEND | O_NOFOLLOW)) | O_CLOEXEC;
}

void Open(fuse_req_t request, int file, fuse_file_info* info) {
  const int fd = ::open(ProcPath(file).c_str(), FlagsToOpenWith(info->flags));
  if (fd < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  info->fh = static_cast<uint64_t>(fd);
  info->keep_cache = 1;
  if (fuse_reply_open(request, info) != 0) ::close(fd);
}

void Create(fuse_req_t request, int parent, const char* name, mode_t mode, fuse_file_info* info) {
  PassthroughNodes& nodes = NodesOf(request);
  const int flags = FlagsToOpenWith(info->flags) | O_CREAT;
  TakeUmaskOf(request);
  const int fd = ::openat(parent, name, flags, mode);
  if (fd < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  fuse_entry_param entry;
  const int result = nodes.Lookup(parent, name, entry);
  if (result != 0) {
    ::close(fd);
    fuse_reply_err(request, -result);
    return;
  }
  info->fh = static_cast<uint64_t>(fd);
  info->keep_cache = 1;
  if (fuse_reply_create(request, &entry, info) != 0) {
    ::close(fd);
    nodes.Forget(entry.ino, 1);
  }
}

void Release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
  ::close(HandleOf(info));
  fuse_reply_err(request, 0);
}

void Fsync(fuse_req_t request, fuse_ino_t, int data_only, fuse_file_info* info) {
  const int fd = HandleOf(info);
  ReplyResult(request, data_only != 0 ? ::fdatasync(fd) : ::fsync(fd));
}

void Read(fuse_req_t request, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  thread_local const std::unique_ptr<char[]> buffer(new char[kMaxReadBytes]);
  const ssize_t got = ::pread(HandleOf(info), buffer.get(), std::min(size, kMaxReadBytes), offset);
  if (got < 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_buf(request, buffer.get(), static_cast<size_t>(got));
  }
}

void Write(fuse_req_t request, fuse_ino_t, const char* data, size_t size, off_t offset,
           fuse_file_info* info) {
  const ssize_t written = ::pwrite(HandleOf(info), data, size, offset);
  if (written < 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_write(request, static_cast<size_t>(written));
  }
}

void Fallocate(fuse_req_t request, fuse_ino_t, int mode, off_t offset, off_t length,
               fuse_file_info* info) {
  ReplyResult(request, ::fallocate(HandleOf(info), mode, offset, length));
}

void CopyFileRange(fuse_req_t request, fuse_ino_t, off_t offset_in, fuse_file_info* in, fuse_ino_t,
                   off_t offset_out, fuse_file_info* out, size_t length, int flags) {
  const ssize_t copied = ::copy_file_range(HandleOf(in), &offset_in, HandleOf(out), &offset_out,
                                           length, static_cast<unsigned>(flags));
  if (copied < 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_write(request, static_cast<size_t>(copied));
  }
}

void Seek(fuse_req_t request, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  const off_t found = ::lseek(HandleOf(info), offset, whence);
  if (found < 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_lseek(request, found);
  }
}

void Ioctl(fuse_req_t request, fuse_ino_t, unsigned, void*, fuse_file_info*, unsigned, const void*,
           size_t, size_t) {
  fuse_reply_err(request, ENOTTY);  // as DedupFS
}

void GetAttributes(fuse_req_t request, int file, fuse_file_info*) {
  struct stat attributes;
  if (::fstat(file, &attributes) != 0) {
    fuse_reply_err(request, errno);
  } else {
    attributes.st_blksize = kPassthroughIoBytes;
    fuse_reply_attr(request, &attributes, kPassthroughTimeoutS);
  }
}

timespec TimeToSet(int to_set, int explicit_bit, int now_bit, const timespec& time) {
  if ((to_set & now_bit) != 0) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
  if ((to_set & explicit_bit) != 0) return time;
  return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
}

// 0, or -1 with errno.
int Apply(int file, const struct stat& wanted, int to_set, const fuse_file_info* info) {
  if ((to_set & FUSE_SET_ATTR_MODE) != 0 && ::chmod(ProcPath(file).c_str(), wanted.st_mode) != 0) {
    return -1;
  }
  if ((to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0) {
    const uid_t uid = (to_set & FUSE_SET_ATTR_UID) != 0 ? wanted.st_uid : static_cast<uid_t>(-1);
    const gid_t gid = (to_set & FUSE_SET_ATTR_GID) != 0 ? wanted.st_gid : static_cast<gid_t>(-1);
    if (::fchownat(file, "", uid, gid, AT_EMPTY_PATH) != 0) return -1;
  }
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0) {
    const int result = info != nullptr ? ::ftruncate(HandleOf(info), wanted.st_size)
                                       : ::truncate(ProcPath(file).c_str(), wanted.st_size);
    if (result != 0) return -1;
  }
  constexpr int kTimes =
      FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW;
  if ((to_set & kTimes) == 0) return 0;
  const std::array times = {
      TimeToSet(to_set, FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, wanted.st_atim),
      TimeToSet(to_set, FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, wanted.st_mtim)};
  return ::utimensat(file, "", times.data(), AT_EMPTY_PATH);
}

void SetAttributes(fuse_req_t request, int file, struct stat* wanted, int to_set,
                   fuse_file_info* info) {
  if (Apply(file, *wanted, to_set, info) != 0) {
    fuse_reply_err(request, errno);
  } else {
    GetAttributes(request, file, info);
  }
}

void StatFs(fuse_req_t request, int file) {
  struct statvfs answer;
  if (::fstatvfs(file, &answer) != 0) {
    fuse_reply_err(request, errno);
  } else {
    fuse_reply_statfs(request, &answer);
  }
}

}  // namespace

void SetPassthroughContentHandlers(fuse_lowlevel_ops& ops) {
  ops.open = OnFile<Open>::Call;
  ops.create = OnFile<Create>::Call;
  ops.release = Release;
  ops.fsync = Fsync;
  ops.read = Read;
  ops.write = Write;
  ops.fallocate = Fallocate;
  ops.copy_file_range = CopyFileRange;
  ops.lseek = Seek;
  ops.ioctl = Ioctl;
  ops.getattr = OnFile<GetAttributes>::Call;
  ops.setattr = OnFile<SetAttributes>::Call;
  ops.statfs = OnFile<StatFs>::Call;
}

}  // namespace dedupfs
