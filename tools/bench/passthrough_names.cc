// What changes or lists directories.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/bench/passthrough_handlers.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxListBytes = 1 << 20;
constexpr size_t kKernelListBytes = 32 << 10;

void ReplyResult(fuse_req_t request, int result) {
  fuse_reply_err(request, result == 0 ? 0 : errno);
}

void ReplyEntry(fuse_req_t request, fuse_ino_t parent, const char* name) {
  PassthroughNodes& nodes = NodesOf(request);
  fuse_entry_param entry;
  const int result = nodes.Lookup(parent, name, entry);
  if (result != 0 && result != -ENOENT) {
    fuse_reply_err(request, -result);
    return;
  }
  // An entry without an inode lets the kernel remember that there is none.
  if (fuse_reply_entry(request, &entry) != 0 && entry.ino != 0) nodes.Forget(entry.ino, 1);
}

void ReplyMade(fuse_req_t request, int result, fuse_ino_t parent, const char* name) {
  if (result != 0) {
    fuse_reply_err(request, errno);
  } else {
    ReplyEntry(request, parent, name);
  }
}

int FdOf(fuse_req_t request, fuse_ino_t ino) { return NodesOf(request).Get(ino).fd; }

void Lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  ReplyEntry(request, parent, name);
}

void Forget(fuse_req_t request, fuse_ino_t ino, uint64_t count) {
  NodesOf(request).Forget(ino, count);
  fuse_reply_none(request);
}

void ForgetMany(fuse_req_t request, size_t count, fuse_forget_data* list) {
  for (size_t i = 0; i < count; ++i) NodesOf(request).Forget(list[i].ino, list[i].nlookup);
  fuse_reply_none(request);
}

void MakeDirectory(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  ReplyMade(request, ::mkdirat(FdOf(request, parent), name, mode), parent, name);
}

void MakeNode(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  ReplyMade(request, ::mknodat(FdOf(request, parent), name, mode, device), parent, name);
}

void MakeSymlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  ReplyMade(request, ::symlinkat(target, FdOf(request, parent), name), parent, name);
}

void MakeLink(fuse_req_t request, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
  const std::string source = NodesOf(request).Get(ino).ProcPath();
  const int result =
      ::linkat(AT_FDCWD, source.c_str(), FdOf(request, parent), name, AT_SYMLINK_FOLLOW);
  ReplyMade(request, result, parent, name);
}

void ReadLink(fuse_req_t request, fuse_ino_t ino) {
  std::array<char, PATH_MAX + 1> target;
  const ssize_t size = ::readlinkat(FdOf(request, ino), "", target.data(), target.size() - 1);
  if (size < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  target[static_cast<size_t>(size)] = '\0';
  fuse_reply_readlink(request, target.data());
}

void Unlink(fuse_req_t request, fuse_ino_t parent, const char* name) {
  ReplyResult(request, ::unlinkat(FdOf(request, parent), name, 0));
}

void RemoveDirectory(fuse_req_t request, fuse_ino_t parent, const char* name) {
  ReplyResult(request, ::unlinkat(FdOf(request, parent), name, AT_REMOVEDIR));
}

void Rename(fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
            const char* new_name, unsigned flags) {
  ReplyResult(request,
              ::renameat2(FdOf(request, parent), name, FdOf(request, new_parent), new_name, flags));
}

// ENOSYS means, where the kernel offers it, that directories need no OPENDIR and may be cached.
void OpenDirectory(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(request, ENOSYS);
}

// Without OPENDIR there is no handle: each request opens the directory at its offset.
int OpenForList(fuse_req_t request, fuse_ino_t ino) {
  return ::openat(FdOf(request, ino), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// Adds one entry to an answer. Returns its size, or 0 where it does not fit.
size_t AddEntry(fuse_req_t request, fuse_ino_t parent, const dirent64& found, bool plus,
                char* space, size_t space_left) {
  const std::string_view name = found.d_name;
  fuse_entry_param entry = {};
  entry.attr.st_ino = found.d_ino;
  entry.attr.st_mode = static_cast<mode_t>(found.d_type) << 12U;
  if (!plus) {
    const size_t size =
        fuse_add_direntry(request, space, space_left, found.d_name, &entry.attr, found.d_off);
    return size <= space_left ? size : 0;
  }
  if (fuse_add_direntry_plus(request, nullptr, 0, found.d_name, nullptr, 0) > space_left) return 0;
  // The kernel counts no reference for . and .., nor for a name that vanished.
  if (name != "." && name != "..") NodesOf(request).Lookup(parent, found.d_name, entry);
  return fuse_add_direntry_plus(request, space, space_left, found.d_name, &entry, found.d_off);
}

void List(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, bool plus) {
  const int fd = OpenForList(request, ino);
  if (fd < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  if (offset != 0) ::lseek(fd, offset, SEEK_SET);
  std::vector<char> answer(std::min(size, kMaxListBytes));
  alignas(dirent64) std::array<char, kKernelListBytes> listed;
  size_t used = 0;
  bool full = false;
  ssize_t got = 0;
  while (!full && (got = ::getdents64(fd, listed.data(), listed.size())) > 0) {
    for (ssize_t at = 0; at < got && !full;) {
      const auto& found = *reinterpret_cast<const dirent64*>(listed.data() + at);
      const size_t added =
          AddEntry(request, ino, found, plus, answer.data() + used, answer.size() - used);
      full = added == 0;
      used += added;
      at += found.d_reclen;
    }
  }
  const int code = errno;
  ::close(fd);
  if (got < 0 && used == 0) {
    fuse_reply_err(request, code);
  } else {
    fuse_reply_buf(request, answer.data(), used);
  }
}

void ReadDirectory(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
  List(request, ino, size, offset, false);
}

void ReadDirectoryPlus(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset,
                       fuse_file_info*) {
  List(request, ino, size, offset, true);
}

void FsyncDirectory(fuse_req_t request, fuse_ino_t ino, int, fuse_file_info*) {
  const int fd = OpenForList(request, ino);
  if (fd < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  ReplyResult(request, ::fsync(fd));
  ::close(fd);
}

}  // namespace

void SetPassthroughNameHandlers(fuse_lowlevel_ops& ops) {
  ops.lookup = Lookup;
  ops.forget = Forget;
  ops.forget_multi = ForgetMany;
  ops.mkdir = MakeDirectory;
  ops.mknod = MakeNode;
  ops.symlink = MakeSymlink;
  ops.link = MakeLink;
  ops.readlink = ReadLink;
  ops.unlink = Unlink;
  ops.rmdir = RemoveDirectory;
  ops.rename = Rename;
  ops.opendir = OpenDirectory;
  ops.readdir = ReadDirectory;
  ops.readdirplus = ReadDirectoryPlus;
  ops.fsyncdir = FsyncDirectory;
}

}  // namespace dedupfs
