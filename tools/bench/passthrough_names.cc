// What changes or lists directories.
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
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

void ReplyEntry(fuse_req_t request, int parent, const char* name) {
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

void ReplyMade(fuse_req_t request, int result, int parent, const char* name) {
  if (result != 0) {
    fuse_reply_err(request, errno);
  } else {
    ReplyEntry(request, parent, name);
  }
}

void Forget(fuse_req_t request, fuse_ino_t ino, uint64_t count) {
  NodesOf(request).Forget(ino, count);
  fuse_reply_none(request);
}

void ForgetMany(fuse_req_t request, size_t count, fuse_forget_data* list) {
  for (size_t i = 0; i < count; ++i) NodesOf(request).Forget(list[i].ino, list[i].nlookup);
  fuse_reply_none(request);
}

void MakeDirectory(fuse_req_t request, int parent, const char* name, mode_t mode) {
  TakeUmaskOf(request);
  ReplyMade(request, ::mkdirat(parent, name, mode), parent, name);
}

void MakeNode(fuse_req_t request, int parent, const char* name, mode_t mode, dev_t device) {
  TakeUmaskOf(request);
  ReplyMade(request, ::mknodat(parent, name, mode, device), parent, name);
}

void MakeSymlink(fuse_req_t request, const char* target, fuse_ino_t parent_ino, const char* name) {
  const PassthroughFd parent = NodesOf(request).Open(parent_ino);
  if (parent.get() < 0) {
    fuse_reply_err(request, errno);
  } else {
    ReplyMade(request, ::symlinkat(target, parent.get(), name), parent.get(), name);
  }
}

void MakeLink(fuse_req_t request, int fd, fuse_ino_t parent_ino, const char* name) {
  const PassthroughFd parent = NodesOf(request).Open(parent_ino);
  if (parent.get() < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  const int result =
      ::linkat(AT_FDCWD, ProcPath(fd).c_str(), parent.get(), name, AT_SYMLINK_FOLLOW);
  ReplyMade(request, result, parent.get(), name);
}

void ReadLink(fuse_req_t request, int fd) {
  std::array<char, PATH_MAX + 1> target;
  const ssize_t size = ::readlinkat(fd, "", target.data(), target.size() - 1);
  if (size < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  target[static_cast<size_t>(size)] = '\0';
  fuse_reply_readlink(request, target.data());
}

void Unlink(fuse_req_t request, int parent, const char* name) {
  ReplyResult(request, ::unlinkat(parent, name, 0));
}

void RemoveDirectory(fuse_req_t request, int parent, const char* name) {
  ReplyResult(request, ::unlinkat(parent, name, AT_REMOVEDIR));
}

void Rename(fuse_req_t request, int parent, const char* name, fuse_ino_t new_parent_ino,
            const char* new_name, unsigned flags) {
  const PassthroughFd new_parent = NodesOf(request).Open(new_parent_ino);
  if (new_parent.get() < 0) {
    fuse_reply_err(request, errno);
  } else {
    ReplyResult(request, ::renameat2(parent, name, new_parent.get(), new_name, flags));
  }
}

// ENOSYS means, where the kernel offers it, that directories need no OPENDIR and may be cached.
void OpenDirectory(fuse_req_t request, fuse_ino_t, fuse_file_info*) {
  fuse_reply_err(request, ENOSYS);
}

// Without OPENDIR there is no handle: each request opens the directory at its offset.
int OpenForList(int fd) { return ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }

// Adds one entry to an answer. Returns its size, or 0 where it does not fit.
size_t AddEntry(fuse_req_t request, int parent, const dirent64& found, bool plus, char* space,
                size_t space_left) {
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

void List(fuse_req_t request, int directory, size_t size, off_t offset, bool plus) {
  const int fd = OpenForList(directory);
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
          AddEntry(request, directory, found, plus, answer.data() + used, answer.size() - used);
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

void ReadDirectory(fuse_req_t request, int directory, size_t size, off_t offset, fuse_file_info*) {
  List(request, directory, size, offset, false);
}

void ReadDirectoryPlus(fuse_req_t request, int directory, size_t size, off_t offset,
                       fuse_file_info*) {
  List(request, directory, size, offset, true);
}

void FsyncDirectory(fuse_req_t request, int directory, int, fuse_file_info*) {
  const int fd = OpenForList(directory);
  if (fd < 0) {
    fuse_reply_err(request, errno);
    return;
  }
  ReplyResult(request, ::fsync(fd));
  ::close(fd);
}

}  // namespace

// umask(2) is of the process until a thread parts from it.
void TakeUmaskOf(fuse_req_t request) {
  constexpr mode_t kUnknown = ~mode_t{0};
  thread_local const bool own = ::unshare(CLONE_FS) == 0;
  thread_local mode_t current = kUnknown;
  const mode_t wanted = fuse_req_ctx(request)->umask;
  if (own && current == wanted) return;
  ::umask(wanted);
  current = wanted;
}

void SetPassthroughNameHandlers(fuse_lowlevel_ops& ops) {
  ops.lookup = OnFile<ReplyEntry>::Call;
  ops.forget = Forget;
  ops.forget_multi = ForgetMany;
  ops.mkdir = OnFile<MakeDirectory>::Call;
  ops.mknod = OnFile<MakeNode>::Call;
  ops.symlink = MakeSymlink;
  ops.link = OnFile<MakeLink>::Call;
  ops.readlink = OnFile<ReadLink>::Call;
  ops.unlink = OnFile<Unlink>::Call;
  ops.rmdir = OnFile<RemoveDirectory>::Call;
  ops.rename = OnFile<Rename>::Call;
  ops.opendir = OpenDirectory;
  ops.readdir = OnFile<ReadDirectory>::Call;
  ops.readdirplus = OnFile<ReadDirectoryPlus>::Call;
  ops.fsyncdir = OnFile<FsyncDirectory>::Call;
}

}  // namespace dedupfs
