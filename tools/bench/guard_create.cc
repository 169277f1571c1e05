#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "chunkstore/base/bytes.h"
#include "fs/content/open_file.h"  // OpenFile whole, for its unique_ptr
#include "fs/file_system.h"
#include "tools/bench/guard_parts.h"
#include "tools/bench/scratch.h"

namespace dedupfs {
namespace {

constexpr size_t kFileBytes = 4096;
constexpr uint64_t kFilesPerFolder = 1000;

// No timer runs out while it is counted, and no thread beside the caller and one worker.
constexpr const char* kQuietConfig =
    "commit_interval_ms = 600000\nthreads = 1\nreserve_bytes = 0\nlog_level = \"warn\"\n";

// What the kernel asks for at open(O_CREAT|O_EXCL), write and close, with its writeback cache on:
// a look-up that misses, the creation, the page, the times, the end of the handle.
void CreateOne(FileSystem& fs, Ino folder, const std::string& name, Bytes content) {
  const Caller caller;
  const auto missing = fs.Lookup(folder, name);
  if (missing || missing.error().code != ENOENT) EndBadly(name + " is there already");
  Attributes attributes;
  auto file = Must(fs.CreateAndOpen(folder, name, S_IFREG | 0644, O_WRONLY | O_CREAT | O_EXCL,
                                    caller, attributes));
  Must(fs.Write(*file, 0, content, false));
  AttributeChange times;
  times.mtime = times.ctime = attributes.btime + 1;
  Must(fs.SetAttributes(attributes.ino, times, caller, file.get()));
  fs.Release(std::move(file));
}

}  // namespace

void PrepareCreate(const std::string& directory) {
  const std::string store = directory + "/store";
  Must(FileSystem::Format(store, {}));
  std::ofstream(store + "/dedupfs.toml") << kQuietConfig;
}

void CountCreate(const std::string& directory, uint64_t count) {
  const auto fs = Must(FileSystem::Open(directory + "/store", {}));
  Must(fs->WaitForBackground());
  std::mt19937_64 random(1);
  Buffer content(kFileBytes);
  for (std::byte& byte : content) byte = static_cast<std::byte>(random());
  Ino folder = kRootIno;
  for (uint64_t i = 0; i < count; ++i) {
    if (i % kFilesPerFolder == 0) {
      const std::string name = "folder" + std::to_string(i / kFilesPerFolder);
      folder = Must(fs->Create(kRootIno, name, S_IFDIR | 0755, 0, "", {})).ino;
    }
    std::memcpy(content.data(), &i, sizeof i);  // no two alike
    CreateOne(*fs, folder, std::to_string(i), content);
  }
  Must(fs->SyncAll());
  Must(fs->Close());
}

}  // namespace dedupfs
