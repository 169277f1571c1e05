// The open files of a session: what the kernel's file handles point at. Internal to fs/fuse/.
//
// Thread safety: every method may be called concurrently.
// Ownership:     owns each handle from Add() to Remove(); the destructor releases what is left,
//                as after a lost connection.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "fs/content/open_file.h"  // IWYU pragma: keep, OpenFile whole, for its unique_ptr
#include "fs/file_system.h"

namespace dedupfs {

struct FileHandle {
  std::unique_ptr<OpenFile> file;
  Ino ino = 0;
  bool for_writing = false;

  // Counts what was written through it. Whether the kernel is to forget the number of blocks, which
  // it does not count itself: each time that this many bytes have doubled.
  bool NoteWritten(size_t bytes);

 private:
  static constexpr uint64_t kFirstTold = 1 << 20;
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> tell_at_{kFirstTold};
};

class HandleTable {
 public:
  explicit HandleTable(FileSystem& file_system) : fs_(file_system) {}
  ~HandleTable();
  HandleTable(const HandleTable&) = delete;
  HandleTable& operator=(const HandleTable&) = delete;

  // The number for fuse_file_info::fh. `open_flags` as of open(2).
  uint64_t Add(std::unique_ptr<OpenFile> file, Ino ino, int open_flags);
  void Remove(uint64_t number);
  static FileHandle& Get(uint64_t number) { return *std::bit_cast<FileHandle*>(number); }

  // Whether the kernel may hold dirty pages of the inode. close(2) writes them back and waits, and
  // a mapping keeps its handle, so only inodes that are open for writing have any.
  bool IsOpenForWriting(Ino ino);
  std::vector<Ino> InodesOpenForWriting();

 private:
  FileSystem& fs_;
  Mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<FileHandle>> handles_ GUARDED_BY(mutex_);
  std::unordered_map<Ino, size_t> writers_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
