// A store of its own for a test, opened as a FileSystem, and short ways to use it.
//
// Thread safety: a Handle belongs to one thread; the ways to files of a TestStore may be used by
//                several, opening, closing and settling by one alone.
// Ownership:     a Handle must be gone before its TestStore is reopened or closed.
// Errors:        a store that cannot be made or opened ends the test program; others are test
//                failures, after which the values returned are empty.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "chunkstore/base/error.h"
#include "fs/content/open_file.h"  // OpenFile whole, for its unique_ptr
#include "fs/file_system.h"
#include "fs/types.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {

using OpenFilePtr = std::unique_ptr<OpenFile>;

template <typename T>
::testing::AssertionResult IsOk(const Result<T>& result) {
  if (result.has_value()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "errno " << result.error().code << ": " << result.error().message;
}

// The errno of a result; 0 where it is OK.
template <typename T>
int CodeOf(const Result<T>& result) {
  return result.has_value() ? 0 : result.error().code;
}

// Flushes all the time beside the operations.
inline constexpr std::string_view kBusyConfig =
    "dirty_budget_bytes = \"8 MiB\"\ncommit_interval_ms = 50\nthreads = 2\n"
    "metadata_cache_bytes = \"16 MiB\"\nchunk_cache_bytes = \"8 MiB\"\nreserve_bytes = 0\n"
    "log_level = \"warn\"\n";
// Writes only what is asked for: no timer runs out within a test.
inline constexpr std::string_view kQuietConfig =
    "commit_interval_ms = 600000\nthreads = 2\nmetadata_cache_bytes = \"16 MiB\"\n"
    "reserve_bytes = 0\nlog_level = \"warn\"\n";

// An open regular file: released, and its kernel references given back, at the end.
class Handle {
 public:
  Handle() = default;
  Handle(FileSystem* fs, OpenFilePtr file, Ino ino, uint64_t remembered)
      : fs_(fs), file_(std::move(file)), ino_(ino), remembered_(remembered) {}
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  ~Handle();
  void Close();

  bool ok() const { return file_ != nullptr; }
  Ino ino() const { return ino_; }
  OpenFile& file() { return *file_; }

  void Write(uint64_t offset, std::string_view data);
  void Fsync();
  void Truncate(uint64_t size);
  // Fewer bytes only at the end of the file.
  std::string Read(uint64_t offset, size_t size);
  // From the first byte to the size that its attributes tell.
  std::string ReadAll();
  uint64_t Size();

 private:
  FileSystem* fs_ = nullptr;
  OpenFilePtr file_;
  Ino ino_ = 0;
  uint64_t remembered_ = 0;
};

struct TestStoreOptions {
  uint32_t average_chunk_bytes = 16 << 10;
  std::string_view config = kBusyConfig;
};

class TestStore {
 public:
  explicit TestStore(const TestStoreOptions& options = {});
  // Opens what is in `directory`, which is the caller's and stays.
  explicit TestStore(std::string directory);
  ~TestStore();
  TestStore(const TestStore&) = delete;
  TestStore& operator=(const TestStore&) = delete;

  FileSystem& fs() { return *fs_; }
  const std::string& directory() const { return directory_; }
  void Close();
  void Open(const MountOptions& options = {});
  void Reopen();

  // Files of the root directory.
  Handle CreateFile(std::string_view name);
  Handle OpenFile(std::string_view name, int flags = O_RDWR);
  // Created or replaced in place, written in one go and closed.
  void PutFile(std::string_view name, std::string_view content);
  std::string GetFile(std::string_view name);
  bool Exists(std::string_view name);
  Ino Find(std::string_view name);
  std::string Xattr(std::string_view name, std::string_view xattr);
  uint64_t XattrNumber(std::string_view name, std::string_view xattr);

  // Everything is in packs and nothing goes on in the background.
  void Settle();
  // Settles and gives back all dead packs.
  FileSystemStats SettledStats();
  // Closes, checks that no problem is found, and opens again.
  void ExpectCleanCheck();

 private:
  TempDir temp_;
  std::string directory_;
  std::unique_ptr<FileSystem> fs_;
};

// A store that holds nothing: all sums zero, and so many inodes as an empty one.
void ExpectEmptyStore(const FileSystemStats& stats, uint64_t empty_inodes);

}  // namespace dedupfs
