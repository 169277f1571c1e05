// One disk under the packs and the database of a store: passes every call on to real files, keeps a
// record of those that change something, and fails call N.
//
// The record is replayed by a DiskModel, up to any call, to make what a crash at that instant would
// have left. Nothing is ever synced for real.
//
// Thread safety: every method may be called concurrently; calls are recorded in the order in which
//                they reach the files, one at a time.
// Ownership:     the Env and the FileSystem must not outlive it; what they opened neither.
// Errors:        injected ones, and those of the disk below.
#pragma once

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/env.h"
#include "chunkstore/base/mutex.h"
#include "tests/support/disk_model.h"

namespace rocksdb {
class FileSystem;
}

namespace dedupfs {

class FaultDisk {
 public:
  // `root` is a real directory; what is in it is durable.
  explicit FaultDisk(std::string root);

  const std::string& root() const { return root_; }
  // How many calls that change something were made so far: an instant of the record.
  uint64_t Now() const;
  std::vector<DiskCall> Record() const;

  struct Fault {
    uint64_t nth = 1;     // the call that fails, counted from FailCall(); 1 is the next one
    bool sticky = false;  // every later call fails as well
    int code = EIO;
  };
  // What a fault hit first.
  struct Victim {
    std::string call;  // "sync", "read", ...
    std::string path;  // relative
  };
  void FailCall(const Fault& fault);
  void Heal();
  std::optional<Victim> victim() const;

  // --- for the Env and the FileSystem ---------------------------------------------------------

  // "" for the root; nothing where the path is not part of the simulation.
  std::optional<std::string> Relative(const std::string& path) const;

  // A call that changes nothing. The errno to fail with, or 0.
  int Look(const std::string& call, const std::string& path);

  // A call that changes the disk: `act` does it to the real files (its result converts to true
  // where it succeeded, by Succeeded()), then it is recorded; `fail` turns an errno into a result.
  template <typename Fail, typename Act>
  auto Do(const DiskCall& call, const Fail& fail, const Act& act) {
    MutexLock lock(mutex_);
    if (const int code = Hit(NameOf(call.kind), PathOf(call)); code != 0) {
      if (call.kind == DiskCall::Kind::kSync) {
        Note({.kind = DiskCall::Kind::kLostSync, .file = call.file});
      }
      return fail(code);
    }
    auto result = act();
    if (Succeeded(result)) Note(call);
    return result;
  }
  // The number of the file at a path that was just created or opened; 0 if there is none.
  uint64_t FileAt(const std::string& path) const;
  uint64_t SizeOf(uint64_t file) const;
  // Whether there is a file or directory at the real path.
  bool Has(const std::string& path) const;

 private:
  template <typename T>
  static bool Succeeded(const T& result) {
    if constexpr (requires { result.ok(); }) {
      return result.ok();
    } else {
      return static_cast<bool>(result);
    }
  }
  int Hit(const std::string& call, const std::string& path) REQUIRES(mutex_);
  void Note(DiskCall call) REQUIRES(mutex_);
  std::string PathOf(const DiskCall& call) const REQUIRES(mutex_);

  const std::string root_;
  mutable Mutex mutex_;
  DiskModel model_ GUARDED_BY(mutex_);
  std::vector<DiskCall> record_ GUARDED_BY(mutex_);
  std::vector<std::string> paths_ GUARDED_BY(mutex_);  // of files by number, as they were opened
  std::optional<Fault> fault_ GUARDED_BY(mutex_);
  std::optional<Victim> victim_ GUARDED_BY(mutex_);
};

// For packs and the format file.
std::unique_ptr<Env> NewFaultDiskEnv(FaultDisk& disk);
// For the database.
std::shared_ptr<rocksdb::FileSystem> NewFaultFileSystem(FaultDisk& disk);

}  // namespace dedupfs
