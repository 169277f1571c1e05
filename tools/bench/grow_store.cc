// Grows a store for grow.py: adds chunks, or files, as a function of their number, through the same
// code as writes of users. A later run with a larger number goes on where the store ends.
//
// Chunks lie in files of 16 MiB below /chunks, which is chunked in fixed blocks of 4 KiB; files of
// 16 bytes below /files. Both have 1,000 files in a folder. The rates go to standard output as
// JSON.

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"
#include "chunkstore/base/log.h"
#include "chunkstore/base/mutex.h"
#include "fs/content/open_file.h"  // OpenFile whole, for its unique_ptr
#include "fs/file_system.h"

namespace dedupfs {
namespace {

constexpr size_t kChunkBytes = 4096;
constexpr uint64_t kChunksPerFile = 4096;
constexpr uint64_t kFilesPerFolder = 1000;
constexpr size_t kPieceChunks = 256;  // 1 MiB, as the kernel hands writes on
// A run that was cut off lost at most its dirty budget (256 MiB, a KiB for each file), and the
// names of the folders that were being filled. So the content of earlier folders is there.
constexpr uint64_t kFoldersInDoubt = 300;
constexpr size_t kUniqueBytes = 16;  // of each chunk; the rest is the same everywhere
constexpr std::byte kFiller{0x5a};
constexpr const char* kBlockRule = "fixed:4096";
constexpr std::chrono::seconds kProgressEvery{5};

struct Task {
  std::string store;
  std::string_view what;  // "chunks" or "files"
  uint64_t target = 0;
  unsigned threads = 2;
};

// What the workers share.
// Thread safety: every method may be called concurrently.
class Progress {
 public:
  explicit Progress(const Task& task) : task_(task) {}

  void Add(uint64_t added) {
    const uint64_t now_added = added_.fetch_add(added) + added;
    MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - printed_ < kProgressEvery) return;
    const std::chrono::duration<double> since = now - printed_;
    std::fprintf(stderr, "%.*s added: %llu, %.0f/s\n", static_cast<int>(task_.what.size()),
                 task_.what.data(), static_cast<unsigned long long>(now_added),
                 static_cast<double>(now_added - printed_added_) / since.count());
    printed_ = now;
    printed_added_ = now_added;
  }
  void PrintTotal() const {
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - begin_;
    std::printf("{\"added\": %llu, \"seconds\": %.3f}\n",
                static_cast<unsigned long long>(added_.load()), since.count());
  }

 private:
  const Task& task_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::atomic<uint64_t> added_{0};
  Mutex mutex_;
  std::chrono::steady_clock::time_point printed_ GUARDED_BY(mutex_) = begin_;
  uint64_t printed_added_ GUARDED_BY(mutex_) = 0;
};

// Calls `work` for first, first + 1, ... below `end` on several threads; the first error ends all.
Status OnThreads(unsigned threads, uint64_t first, uint64_t end,
                 const std::function<Status(uint64_t)>& work) {
  std::atomic<uint64_t> next{first};
  std::vector<Status> results(threads);
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < threads; ++i) {
    workers.emplace_back([&, i] {
      while (results[i]) {
        const uint64_t number = next.fetch_add(1);
        if (number >= end) return;
        results[i] = work(number);
      }
      next = end;
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (Status& result : results) {
    if (!result) return std::move(result);
  }
  return Ok();
}

// Of a number: no two alike, and spread as real content is.
void Stamp(uint64_t number, std::byte* place) {
  uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
  std::memcpy(place, &number, sizeof number);
  std::memcpy(place + sizeof number, &mixed, sizeof mixed);
}

Result<Ino> FolderOf(FileSystem& fs, Ino parent, const std::string& name) {
  auto folder = fs.Create(parent, name, S_IFDIR | 0755, 0, "", {});
  if (!folder && folder.error().code == EEXIST) folder = fs.Lookup(parent, name);
  if (!folder) return Fail(folder.error());
  fs.Forget(folder->ino, 1);
  return folder->ino;
}

// A file that may be there already, open for writing.
struct Target {
  Ino ino = 0;
  uint64_t size = 0;
  std::unique_ptr<OpenFile> file;
};

Result<Target> OpenTarget(FileSystem& fs, Ino folder, const std::string& name) {
  Target target;
  if (const auto found = fs.Lookup(folder, name)) {
    target.ino = found->ino;
    target.size = found->size;
    DEDUPFS_ASSIGN_OR_RETURN(target.file, fs.Open(target.ino, O_WRONLY));
    return target;
  } else if (found.error().code != ENOENT) {
    return Fail(found.error());
  }
  Attributes made;
  DEDUPFS_ASSIGN_OR_RETURN(
      target.file,
      fs.CreateAndOpen(folder, name, S_IFREG | 0644, O_WRONLY | O_CREAT | O_EXCL, Caller{}, made));
  target.ino = made.ino;
  return target;
}

void CloseTarget(FileSystem& fs, Target target) {
  fs.Release(std::move(target.file));
  fs.Forget(target.ino, 1);
}

// Chunks from where the file ends up to `count` of them.
Result<uint64_t> FillWithChunks(FileSystem& fs, const Target& target, uint64_t number,
                                uint64_t count) {
  uint64_t chunk = std::min(target.size / kChunkBytes, count);
  const uint64_t added = count - chunk;
  Buffer piece(kPieceChunks * kChunkBytes, kFiller);
  while (chunk < count) {
    const uint64_t now = std::min<uint64_t>(kPieceChunks, count - chunk);
    for (uint64_t i = 0; i < now; ++i) {
      Stamp(number * kChunksPerFile + chunk + i, piece.data() + i * kChunkBytes);
    }
    DEDUPFS_RETURN_IF_ERROR(
        fs.Write(*target.file, chunk * kChunkBytes, Bytes(piece.data(), now * kChunkBytes), false));
    chunk += now;
  }
  return added;
}

Status GrowChunks(FileSystem& fs, const Task& task, Progress& progress) {
  DEDUPFS_ASSIGN_OR_RETURN(const Ino library, FolderOf(fs, kRootIno, "chunks"));
  DEDUPFS_RETURN_IF_ERROR(fs.SetXattr(library, "user.dedupfs.policy", kBlockRule, 0, {}));
  const uint64_t files = (task.target + kChunksPerFile - 1) / kChunksPerFile;
  return OnThreads(task.threads, 0, files, [&](uint64_t number) -> Status {
    DEDUPFS_ASSIGN_OR_RETURN(const Ino folder,
                             FolderOf(fs, library, std::to_string(number / kFilesPerFolder)));
    DEDUPFS_ASSIGN_OR_RETURN(Target target, OpenTarget(fs, folder, std::to_string(number)));
    const uint64_t count = std::min(kChunksPerFile, task.target - number * kChunksPerFile);
    const auto added = FillWithChunks(fs, target, number, count);
    CloseTarget(fs, std::move(target));
    if (!added) return Fail(added.error());
    progress.Add(*added);
    return Ok();
  });
}

Status FillFolder(FileSystem& fs, Ino folder, uint64_t first, uint64_t end, Progress& progress) {
  uint64_t added = 0;
  for (uint64_t number = first; number < end; ++number) {
    DEDUPFS_ASSIGN_OR_RETURN(Target target, OpenTarget(fs, folder, std::to_string(number)));
    Status written;
    if (target.size < kUniqueBytes) {
      Buffer content(kUniqueBytes);
      Stamp(number, content.data());
      written = fs.Write(*target.file, 0, content, false);
      ++added;
    }
    CloseTarget(fs, std::move(target));
    if (!written) return written;
  }
  progress.Add(added);
  return Ok();
}

// Folders are begun in order: the number of those that are there, `end` at most.
Result<uint64_t> CountFolders(FileSystem& fs, Ino library, uint64_t end) {
  uint64_t low = 0;
  uint64_t high = end;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    const auto found = fs.Lookup(library, std::to_string(middle));
    if (found) {
      fs.Forget(found->ino, 1);
      low = middle + 1;
    } else if (found.error().code == ENOENT) {
      high = middle;
    } else {
      return Fail(found.error());
    }
  }
  return low;
}

Status GrowFiles(FileSystem& fs, const Task& task, Progress& progress) {
  DEDUPFS_ASSIGN_OR_RETURN(const Ino library, FolderOf(fs, kRootIno, "files"));
  const uint64_t folders = (task.target + kFilesPerFolder - 1) / kFilesPerFolder;
  const auto fill = [&](uint64_t number) -> Status {
    DEDUPFS_ASSIGN_OR_RETURN(const Ino folder, FolderOf(fs, library, std::to_string(number)));
    const uint64_t begin = number * kFilesPerFolder;
    return FillFolder(fs, folder, begin, std::min(begin + kFilesPerFolder, task.target), progress);
  };
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t there, CountFolders(fs, library, folders));
  const uint64_t first = there - std::min(there, kFoldersInDoubt);
  DEDUPFS_RETURN_IF_ERROR(OnThreads(task.threads, first, there, fill));
  // Durable before more folders come, else a second cut would put these in doubt beyond the bound.
  DEDUPFS_RETURN_IF_ERROR(fs.SyncAll());
  return OnThreads(task.threads, there, folders, fill);
}

Status Grow(const Task& task) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto fs, FileSystem::Open(task.store, {}));
  Progress progress(task);
  const Status grown =
      task.what == "chunks" ? GrowChunks(*fs, task, progress) : GrowFiles(*fs, task, progress);
  DEDUPFS_RETURN_IF_ERROR(grown);
  DEDUPFS_RETURN_IF_ERROR(fs->SyncAll());
  progress.PrintTotal();
  return fs->Close();
}

std::optional<Task> Parse(int argc, char** argv) {
  if (argc != 4 && argc != 5) return std::nullopt;
  Task task;
  task.store = argv[1];
  task.what = argv[2];
  task.target = std::strtoull(argv[3], nullptr, 10);
  if (argc == 5) task.threads = static_cast<unsigned>(std::strtoul(argv[4], nullptr, 10));
  const bool known = task.what == "chunks" || task.what == "files";
  if (!known || task.target == 0 || task.threads == 0) return std::nullopt;
  return task;
}

}  // namespace
}  // namespace dedupfs

int main(int argc, char** argv) {
  const auto task = dedupfs::Parse(argc, argv);
  if (!task) {
    std::fputs("usage: grow_store STORE chunks|files COUNT [THREADS]\n", stderr);
    return 2;
  }
  dedupfs::SetLogLevel("warn");
  const dedupfs::Status grown = dedupfs::Grow(*task);
  if (!grown) {
    std::fprintf(stderr, "grow_store: %s\n", grown.error().message.c_str());
    return 1;
  }
  return 0;
}
