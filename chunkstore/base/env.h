// The interface through which packs reach the disk below. Tests replace it (FaultEnv) to drop
// what was not synced and to fail at call N; packs can later live elsewhere behind it.
//
// Thread safety: every method of Env and File may be called concurrently; Append calls on one
//                file must not overlap one another.
// Ownership:     a File closes itself; it must not outlive its Env.
// Durability:    appended bytes survive a power cut once a later Sync() of the file returned OK,
//                and a created, renamed or removed name once SyncDir() of its directory did.
// Errors:        the errno of the call, with the path in the message. ENOENT where a path is
//                missing.
// Units:         offsets and sizes are bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"

namespace dedupfs {

class File {
 public:
  virtual ~File() = default;

  // Reads up to out.size() bytes at `offset`; fewer only at the end of the file.
  virtual Result<size_t> ReadAt(uint64_t offset, MutableBytes out) = 0;
  // Appends the pieces in order at the end, whole or with an error. After an error the end of the
  // file is not known, and the caller must stop using the file for appends. One thread at a time.
  virtual Status Append(std::span<const Bytes> pieces) = 0;
  // fdatasync.
  virtual Status Sync() = 0;
  virtual Result<uint64_t> Size() = 0;
  // Has the next read come from the disk, as far as the kernel follows: a hint.
  virtual void DropCached() {}
};

struct SpaceInfo {
  uint64_t total = 0;
  uint64_t free = 0;       // free for root
  uint64_t available = 0;  // free for others
  uint64_t files = 0;
  uint64_t files_free = 0;
};

class Env {
 public:
  virtual ~Env() = default;

  // Creates a file that must not be there yet (EEXIST), open for append and read.
  virtual Result<std::unique_ptr<File>> Create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> OpenForRead(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  virtual Status MakeDir(const std::string& path) = 0;
  virtual Status SyncDir(const std::string& path) = 0;
  // Names in `path` without . and .., in no order.
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
  virtual Result<SpaceInfo> Space(const std::string& path) = 0;

  // Reads a small file whole; EFBIG if it is over `limit` bytes.
  Result<std::string> ReadAll(const std::string& path, size_t limit);
  // Replaces `path` atomically and durably: writes beside it, syncs, renames, syncs `directory`.
  Status ReplaceFile(const std::string& directory, const std::string& name,
                     std::string_view content);
};

// The real disk, by system calls. Lives as long as the process.
Env& PosixEnv();

}  // namespace dedupfs
