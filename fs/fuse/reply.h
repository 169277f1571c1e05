// How every request is answered: conversions to the kernel's structs, errors, and the guard against
// exceptions of libraries. Internal to fs/fuse/.
//
// A handler answers its request exactly once, as its last act.
#pragma once

#include <sys/stat.h>

#include <ctime>
#include <exception>
#include <string_view>

#include "chunkstore/base/error.h"
#include "fs/fuse/lowlevel.h"
#include "fs/request_table.h"
#include "fs/types.h"

namespace dedupfs {

timespec ToTimespec(Time time);
// Before 1677 and after 2262 the first and the last Time.
Time FromTimespec(const timespec& time);
struct stat ToStat(const Attributes& attributes);
// The entry with the session's timeouts.
fuse_entry_param ToEntry(fuse_req_t request, const Attributes& attributes);

// Answers with error.code; EIO is logged with the path of the inode.
void ReplyError(fuse_req_t request, std::string_view operation, Ino ino, const Error& error);
void ReplyStatus(fuse_req_t request, std::string_view operation, Ino ino, const Status& status);
void ReplyAttributes(fuse_req_t request, std::string_view operation, Ino ino,
                     const Result<Attributes>& attributes);
// For a remembered inode: takes the reference back if the kernel does not get the answer.
void ReplyEntry(fuse_req_t request, std::string_view operation, Ino parent,
                const Result<Attributes>& attributes);
// Makes the kernel ask for the attributes of an inode again. Waits for nothing.
void KernelForgetsAttributes(fuse_req_t request, Ino ino);
// Of the session.
RequestTable& RequestsOf(fuse_req_t request);
void ReplyThrown(fuse_req_t request, std::string_view operation, std::string_view what);

// Runs the body of a handler, listed as a request in flight: nothing that a library throws gets into
// libfuse. `operation` is a literal.
template <typename Body>
void Guarded(fuse_req_t request, const char* operation, Ino ino, const Body& body) {
  const RequestScope scope(RequestsOf(request), operation, ino);
  try {
    body();
  } catch (const std::exception& thrown) {
    ReplyThrown(request, operation, thrown.what());
  }
}

}  // namespace dedupfs
