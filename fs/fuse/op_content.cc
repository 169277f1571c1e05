#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

#include "fs/fuse/caller.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/privileges.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxReadBytes = 16 << 20;    // far above what INIT agrees on
constexpr size_t kMaxCopyBytes = 0x7ffff000;  // as much as one system call may report

// One for each worker thread, kept: a fresh megabyte costs more page faults than its read.
MutableBytes ReadBuffer(size_t size) {
  thread_local Buffer buffer;
  if (buffer.size() < size) buffer.resize(size);
  return MutableBytes(buffer).first(size);
}

void Read(fuse_req_t request, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* info) {
  Guarded(request, "read", ino, [&] {
    SessionState& state = StateOf(request);
    ++state.counters.read;
    const MutableBytes out = ReadBuffer(std::min(size, kMaxReadBytes));
    const Result<size_t> got =
        state.fs.Read(*HandleTable::Get(info->fh).file, static_cast<uint64_t>(offset), out);
    if (!got) return ReplyError(request, "read", ino, got.error());
    fuse_reply_buf(request, reinterpret_cast<const char*>(out.data()), *got);
  });
}

// What went past the kernel's cache: before 6.6 the kernel keeps the page that it had of the range,
// for other handles. As for Seek, dirty pages are written back first, so no worker may do it.
bool AnswersWithoutPages(fuse_req_t request, fuse_ino_t ino, off_t offset, size_t size) {
  SessionState& state = StateOf(request);
  return state.invalidation.Submit([=, session = state.session] {
    fuse_lowlevel_notify_inval_inode(session, ino, offset, static_cast<off_t>(size));
    fuse_reply_write(request, size);
  });
}

void Write(fuse_req_t request, fuse_ino_t ino, const char* data, size_t size, off_t offset,
           fuse_file_info* info) {
  Guarded(request, "write", ino, [&] {
    SessionState& state = StateOf(request);
    ++state.counters.write;
    const bool kills = KillsPrivileges(request);
    PrivilegeChange privileges(request, ino, kills);
    const bool from_cache = info->writepage != 0 && state.writeback_cache;
    FileHandle& handle = HandleTable::Get(info->fh);
    const Status written =
        state.fs.Write(*handle.file, static_cast<uint64_t>(offset), AsBytes({data, size}), kills,
                       from_cache ? WriteTimes::kKernels : WriteTimes::kNow,
                       info->writepage != 0 ? WriteOrigin::kCache : WriteOrigin::kProgram,
                       kills ? CallerOf(request) : Caller());
    if (!written) return ReplyError(request, "write", ino, written.error());
    privileges.KernelForgets();
    if (from_cache && handle.NoteWritten(size)) KernelForgetsAttributes(request, ino);
    if (info->writepage == 0 && FileSystem::IsAppendOnly(*handle.file) &&
        AnswersWithoutPages(request, ino, offset, size)) {
      return;
    }
    fuse_reply_write(request, size);
  });
}

void Allocate(fuse_req_t request, fuse_ino_t ino, int mode, off_t offset, off_t length,
              fuse_file_info* info) {
  Guarded(request, "fallocate", ino, [&] {
    if (KillsPrivilegesWithoutFlag(request, ino)) {
      if (Status cleared = ClearPrivileges(request, ino); !cleared) {
        return ReplyError(request, "fallocate", ino, cleared.error());
      }
    }
    ReplyStatus(
        request, "fallocate", ino,
        StateOf(request).fs.Allocate(*HandleTable::Get(info->fh).file, mode,
                                     static_cast<uint64_t>(offset), static_cast<uint64_t>(length)));
  });
}

// The kernel has written back both ranges before it asks.
void CopyRange(fuse_req_t request, fuse_ino_t, off_t from_offset, fuse_file_info* from,
               fuse_ino_t to_ino, off_t to_offset, fuse_file_info* to, size_t length, int) {
  Guarded(request, "copy_file_range", to_ino, [&] {
    if (KillsPrivilegesWithoutFlag(request, to_ino)) {
      if (Status cleared = ClearPrivileges(request, to_ino); !cleared) {
        return ReplyError(request, "copy_file_range", to_ino, cleared.error());
      }
    }
    const Result<uint64_t> copied = StateOf(request).fs.CopyRange(
        *HandleTable::Get(from->fh).file, static_cast<uint64_t>(from_offset),
        *HandleTable::Get(to->fh).file, static_cast<uint64_t>(to_offset),
        std::min(length, kMaxCopyBytes));
    if (!copied) return ReplyError(request, "copy_file_range", to_ino, copied.error());
    fuse_reply_write(request, *copied);
  });
}

void AnswerSeek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence, uint64_t handle) {
  Guarded(request, "lseek", ino, [&] {
    const Result<uint64_t> found = StateOf(request).fs.Seek(*HandleTable::Get(handle).file,
                                                            static_cast<uint64_t>(offset), whence);
    if (!found) return ReplyError(request, "lseek", ino, found.error());
    fuse_reply_lseek(request, static_cast<off_t>(*found));
  });
}

// With the writeback cache the kernel asks for holes while it keeps dirty pages that would fill
// them. Invalidating the inode writes those back first, as WRITEs that the workers take meanwhile.
// The kernel holds the lock of the inode while it waits, so that fsync could not do it.
void Seek(fuse_req_t request, fuse_ino_t ino, off_t offset, int whence, fuse_file_info* info) {
  Guarded(request, "lseek", ino, [&] {
    SessionState& state = StateOf(request);
    const uint64_t handle = info->fh;
    if (state.writeback_cache && state.handles.IsOpenForWriting(ino)) {
      const bool submitted = state.invalidation.Submit([=, session = state.session] {
        fuse_lowlevel_notify_inval_inode(session, ino, 0, 0);
        AnswerSeek(request, ino, offset, whence, handle);
      });
      if (submitted) return;
    }
    AnswerSeek(request, ino, offset, whence, handle);
  });
}

}  // namespace

void SetContentHandlers(fuse_lowlevel_ops& ops) {
  ops.read = Read;
  ops.write = Write;
  ops.fallocate = Allocate;
  ops.copy_file_range = CopyRange;
  ops.lseek = Seek;
}

}  // namespace dedupfs
