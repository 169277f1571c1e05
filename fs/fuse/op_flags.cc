// The flags of chattr(1), which are ioctl(2) requests. The kernel reads the old ones as an fsxattr
// before it changes any.
#include <linux/fs.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "chunkstore/base/bytes.h"
#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

// One flag as the two pairs of requests name it: chattr(1)'s, and that of fsxattr.
struct FlagNames {
  uint32_t flag;
  uint32_t in_flags;
  uint32_t in_fsxattr;
};
constexpr std::array kFlagNames = {
    FlagNames{kImmutable, FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE},
    FlagNames{kAppendOnly, FS_APPEND_FL, FS_XFLAG_APPEND},
};
using NameOfFlag = uint32_t FlagNames::*;

uint32_t ToKernel(uint32_t flags, NameOfFlag name) {
  uint32_t out = 0;
  for (const FlagNames& names : kFlagNames) {
    if ((flags & names.flag) != 0) out |= names.*name;
  }
  return out;
}

uint32_t FromKernel(uint32_t kernel_flags, NameOfFlag name) {
  uint32_t out = 0;
  for (const FlagNames& names : kFlagNames) {
    if ((kernel_flags & names.*name) != 0) out |= names.flag;
  }
  return out;
}

void Get(fuse_req_t request, fuse_ino_t ino, NameOfFlag name, size_t out_size) {
  const Result<Attributes> attributes = StateOf(request).fs.GetAttributes(ino);
  if (!attributes) return ReplyError(request, "getflags", ino, attributes.error());
  const uint32_t flags = ToKernel(attributes->flags, name);
  fsxattr extended = {};
  extended.fsx_xflags = flags;
  const bool is_extended = name == &FlagNames::in_fsxattr;
  const size_t size = is_extended ? sizeof(extended) : sizeof(flags);
  if (out_size < size) {
    fuse_reply_err(request, EINVAL);
  } else if (is_extended) {
    fuse_reply_ioctl(request, 0, &extended, size);
  } else {
    fuse_reply_ioctl(request, 0, &flags, size);
  }
}

// The kernel has checked the caller, since 5.13: the owner may ask, and only CAP_LINUX_IMMUTABLE
// changes these two. The same is asked here for older ones.
void Set(fuse_req_t request, fuse_ino_t ino, NameOfFlag name, uint32_t wanted) {
  FileSystem& fs = StateOf(request).fs;
  const Result<Attributes> attributes = fs.GetAttributes(ino);
  if (!attributes) return ReplyError(request, "setflags", ino, attributes.error());
  const uint32_t flags = FromKernel(wanted, name);
  if (ToKernel(flags, name) != wanted) {
    fuse_reply_err(request, EOPNOTSUPP);
  } else if (flags != attributes->flags && !MayChangeFlags(request)) {
    fuse_reply_err(request, EPERM);
  } else if (const Status set = fs.SetFlags(ino, flags); !set) {
    ReplyError(request, "setflags", ino, set.error());
  } else {
    fuse_reply_ioctl(request, 0, nullptr, 0);
  }
}

void SetFlags(fuse_req_t request, fuse_ino_t ino, Bytes in) {
  uint32_t wanted = 0;
  if (in.size() < sizeof(wanted)) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  std::memcpy(&wanted, in.data(), sizeof(wanted));
  Set(request, ino, &FlagNames::in_flags, wanted);
}

// Nothing but the flags: there are no project quotas, and no hints of extent sizes.
void SetExtended(fuse_req_t request, fuse_ino_t ino, Bytes in) {
  fsxattr wanted = {};
  if (in.size() < sizeof(wanted)) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  std::memcpy(&wanted, in.data(), sizeof(wanted));
  if (wanted.fsx_extsize != 0 || wanted.fsx_projid != 0 || wanted.fsx_cowextsize != 0) {
    fuse_reply_err(request, EOPNOTSUPP);
    return;
  }
  Set(request, ino, &FlagNames::in_fsxattr, wanted.fsx_xflags);
}

void Ioctl(fuse_req_t request, fuse_ino_t ino, unsigned command, void*, fuse_file_info*, unsigned,
           const void* in, size_t in_size, size_t out_size) {
  Guarded(request, "ioctl", ino, [&] {
    const Bytes argument{static_cast<const std::byte*>(in), in_size};
    switch (command) {
      case static_cast<unsigned>(FS_IOC_GETFLAGS):
        return Get(request, ino, &FlagNames::in_flags, out_size);
      case static_cast<unsigned>(FS_IOC_FSGETXATTR):
        return Get(request, ino, &FlagNames::in_fsxattr, out_size);
      case static_cast<unsigned>(FS_IOC_SETFLAGS):
        return SetFlags(request, ino, argument);
      case static_cast<unsigned>(FS_IOC_FSSETXATTR):
        return SetExtended(request, ino, argument);
      default:
        fuse_reply_err(request, ENOTTY);
    }
  });
}

}  // namespace

void SetFlagHandlers(fuse_lowlevel_ops& ops) { ops.ioctl = Ioctl; }

}  // namespace dedupfs
