#include "fs/fuse/reply.h"

#include <cerrno>
#include <limits>
#include <string>

#include "chunkstore/base/log.h"
#include "fs/fuse/session_state.h"

namespace dedupfs {
namespace {

constexpr Time kSecond = 1'000'000'000;
constexpr blksize_t kPreferredIoBytes = 128 << 10;
// Inode numbers are never reused, so one generation is enough for NFS file handles.
constexpr uint64_t kGeneration = 1;

// A file without blocks is one hole to archivers (tar --sparse reads nothing of it), but the kernel
// counts no blocks of what it caches. So a file that may be written has at least one.
Attributes WithBlocks(SessionState& state, Attributes attributes) {
  if (attributes.blocks == 0 && S_ISREG(attributes.mode) && state.writeback_cache &&
      state.handles.IsOpenForWriting(attributes.ino)) {
    attributes.blocks = 1;
  }
  return attributes;
}

}  // namespace

timespec ToTimespec(Time time) {
  Time seconds = time / kSecond;
  Time rest = time % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

Time FromTimespec(const timespec& time) {
  constexpr Time kFirst = std::numeric_limits<Time>::min();
  constexpr Time kLast = std::numeric_limits<Time>::max();
  // The second that holds the last nanosecond is left out, too: nobody misses it.
  if (time.tv_sec >= kLast / kSecond) return kLast;
  if (time.tv_sec <= kFirst / kSecond) return kFirst;
  return time.tv_sec * kSecond + time.tv_nsec;
}

struct stat ToStat(const Attributes& attributes) {
  struct stat out = {};
  out.st_ino = attributes.ino;
  out.st_mode = attributes.mode;
  out.st_nlink = attributes.nlink;
  out.st_uid = attributes.uid;
  out.st_gid = attributes.gid;
  out.st_rdev = attributes.rdev;
  out.st_size = static_cast<off_t>(attributes.size);
  out.st_blocks = static_cast<blkcnt_t>(attributes.blocks);
  out.st_blksize = kPreferredIoBytes;
  out.st_atim = ToTimespec(attributes.atime);
  out.st_mtim = ToTimespec(attributes.mtime);
  out.st_ctim = ToTimespec(attributes.ctime);
  return out;
}

fuse_entry_param ToEntry(fuse_req_t request, const Attributes& attributes) {
  const SessionOptions& options = StateOf(request).options;
  fuse_entry_param entry = {};
  entry.ino = attributes.ino;
  entry.generation = kGeneration;
  entry.attr = ToStat(WithBlocks(StateOf(request), attributes));
  entry.attr_timeout = options.attribute_timeout_s;
  entry.entry_timeout = options.entry_timeout_s;
  return entry;
}

void ReplyError(fuse_req_t request, std::string_view operation, Ino ino, const Error& error) {
  const int code = error.code > 0 ? error.code : EIO;
  if (code == EIO) {
    std::string details = "op=" + std::string(operation) + " ino=" + std::to_string(ino);
    details += " path=" + StateOf(request).fs.PathOf(ino) + " error=" + error.message;
    LogError("fuse_request_failed", details);
  }
  fuse_reply_err(request, code);
}

void ReplyStatus(fuse_req_t request, std::string_view operation, Ino ino, const Status& status) {
  if (!status) return ReplyError(request, operation, ino, status.error());
  fuse_reply_err(request, 0);
}

void ReplyAttributes(fuse_req_t request, std::string_view operation, Ino ino,
                     const Result<Attributes>& attributes) {
  if (!attributes) return ReplyError(request, operation, ino, attributes.error());
  const struct stat out = ToStat(WithBlocks(StateOf(request), *attributes));
  fuse_reply_attr(request, &out, StateOf(request).options.attribute_timeout_s);
}

void ReplyEntry(fuse_req_t request, std::string_view operation, Ino parent,
                const Result<Attributes>& attributes) {
  if (!attributes) return ReplyError(request, operation, parent, attributes.error());
  FileSystem& fs = StateOf(request).fs;
  const fuse_entry_param entry = ToEntry(request, *attributes);
  if (fuse_reply_entry(request, &entry) != 0) fs.Forget(attributes->ino, 1);
}

void KernelForgetsAttributes(fuse_req_t request, Ino ino) {
  // A negative offset leaves the pages alone, so this cannot wait for another request.
  fuse_lowlevel_notify_inval_inode(StateOf(request).session, ino, -1, 0);
}

RequestTable& RequestsOf(fuse_req_t request) { return StateOf(request).requests; }

void ReplyThrown(fuse_req_t request, std::string_view operation, std::string_view what) {
  LogError("fuse_request_threw", "op=" + std::string(operation) + " error=" + std::string(what));
  fuse_reply_err(request, EIO);
}

}  // namespace dedupfs
