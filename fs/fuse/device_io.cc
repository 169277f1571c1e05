#include "fs/fuse/device_io.h"

#include <linux/fuse.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace dedupfs {
namespace {

thread_local bool request_kills_privileges = false;

template <typename T>
bool ReadStruct(Bytes bytes, size_t offset, T& out) {
  if (bytes.size() < offset + sizeof(T)) return false;
  std::memcpy(&out, bytes.data() + offset, sizeof(T));
  return true;
}

}  // namespace

bool DeviceIo::RequestKillsPrivileges() { return request_kills_privileges; }

bool DeviceIo::AsksToKillPrivileges(Bytes request) {
  constexpr size_t kArguments = sizeof(fuse_in_header);
  fuse_in_header header;
  if (!ReadStruct(request, 0, header)) return false;
  switch (header.opcode) {
    case FUSE_WRITE: {
      fuse_write_in in;
      return ReadStruct(request, kArguments, in) && (in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
    }
    case FUSE_SETATTR: {
      fuse_setattr_in in;
      return ReadStruct(request, kArguments, in) && (in.valid & FATTR_KILL_SUIDGID) != 0;
    }
    case FUSE_OPEN: {
      fuse_open_in in;
      return ReadStruct(request, kArguments, in) && (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
    }
    case FUSE_CREATE: {
      fuse_create_in in;
      return ReadStruct(request, kArguments, in) && (in.open_flags & FUSE_OPEN_KILL_SUIDGID) != 0;
    }
    default:
      return false;
  }
}

void DeviceIo::NoteInit(Bytes request) {
  fuse_in_header header;
  if (!ReadStruct(request, 0, header) || header.opcode != FUSE_INIT) return;
  // Older kernels send a shorter fuse_init_in; the flags are its fourth word in all of them.
  uint32_t flags = 0;
  if (!ReadStruct(request, sizeof(header) + offsetof(fuse_init_in, flags), flags)) return;
  if ((flags & FUSE_HANDLE_KILLPRIV_V2) != 0) init_unique_.store(header.unique);
}

// libfuse cancels its threads in here when the loop ends, which unwinds this frame: it must stay
// free of noexcept and catch.
ssize_t DeviceIo::Read(int fd, void* buffer, size_t size) {
  const ssize_t got = ::read(fd, buffer, size);
  if (got <= 0) return got;
  const Bytes request{static_cast<const std::byte*>(buffer), static_cast<size_t>(got)};
  request_kills_privileges = AsksToKillPrivileges(request);
  if (!kill_privileges_is_ours()) NoteInit(request);
  return got;
}

ssize_t DeviceIo::Write(int fd, iovec* pieces, int count) {
  const uint64_t unique = init_unique_.load();
  if (unique == 0 || count != 2 || kill_privileges_is_ours()) return ::writev(fd, pieces, count);
  fuse_out_header header;
  fuse_init_out init{};
  const size_t flags_end = offsetof(fuse_init_out, flags) + sizeof(init.flags);
  if (pieces[0].iov_len != sizeof(header) || pieces[1].iov_len < flags_end ||
      pieces[1].iov_len > sizeof(init)) {
    return ::writev(fd, pieces, count);
  }
  std::memcpy(&header, pieces[0].iov_base, sizeof(header));
  if (header.unique != unique || header.error != 0) return ::writev(fd, pieces, count);
  std::memcpy(&init, pieces[1].iov_base, pieces[1].iov_len);
  init.flags |= FUSE_HANDLE_KILLPRIV_V2;
  // libfuse repeats what the kernel offered when it mounted; the session may have raised that
  // since.
  init.max_readahead = std::max<uint32_t>(init.max_readahead, kReadaheadKib << 10);
  std::array<iovec, 2> changed = {pieces[0], iovec{&init, pieces[1].iov_len}};
  // Before the reply: the first request that relies on it may come before writev() returns.
  agreed_.store(true, std::memory_order_release);
  return ::writev(fd, changed.data(), static_cast<int>(changed.size()));
}

}  // namespace dedupfs
