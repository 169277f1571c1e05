// A disk in memory that fails on demand and forgets at a power cut what was not synced.
//
// Thread safety: every method may be called concurrently.
// Ownership:     files must not outlive it.
// Durability:    that of Env, taken literally: at PowerCut() a file's bytes past its last Sync()
//                and every name changed since the last SyncDir() of its directory are gone.
// Errors:        injected ones as asked for; others as the real disk gives them. Directories
//                cannot be renamed (ENOTSUP).
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chunkstore/base/env.h"
#include "chunkstore/base/mutex.h"
#include "tests/support/random.h"

namespace dedupfs {

class FaultEnv : public Env {
 public:
  enum class Op {
    kCreate,
    kOpen,
    kRename,
    kRemove,
    kMakeDir,
    kSyncDir,
    kList,
    kSpace,
    kReadAt,
    kAppend,
    kSync,
    kSize,
  };
  static constexpr size_t kOpCount = 12;

  struct Fault {
    std::optional<Op> op = std::nullopt;  // every kind if not set
    uint64_t nth = 1;  // the call that fails, counted from Inject(); 1 is the next one
    int code = EIO;
    bool sticky = false;        // every later call of the kind fails as well
    bool short_append = false;  // half of the bytes land before the error
  };

  // `root` is a directory that exists and survives everything.
  explicit FaultEnv(const std::string& root = "/");
  ~FaultEnv() override;

  void Inject(const Fault& fault);
  void ClearFaults();
  // Calls so far, failed ones too.
  uint64_t Calls(Op op) const;
  uint64_t Calls() const;

  // Everything unsynced vanishes, faults end, and files that are open give EIO from now on. With
  // `torn`, an unsynced tail keeps a random whole number of 512-byte steps, and a directory that
  // was not synced may keep its names or not.
  void PowerCut(Random* torn = nullptr);

  // Damage on the disk itself, synced at once. ENOENT; EINVAL beyond the end of the file.
  Status FlipBit(const std::string& path, uint64_t offset, unsigned bit);
  Status Truncate(const std::string& path, uint64_t size);
  void SetSpace(const SpaceInfo& space);

  Result<std::unique_ptr<File>> Create(const std::string& path) override;
  Result<std::unique_ptr<File>> OpenForRead(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status MakeDir(const std::string& path) override;
  Status SyncDir(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;
  Result<SpaceInfo> Space(const std::string& path) override;

 private:
  struct Node;
  class OpenFile;
  using Names = std::map<std::string, std::shared_ptr<Node>>;

  // Counts a call, and gives the fault that hits it.
  std::optional<Fault> Hit(Op op) REQUIRES(mutex_);
  Status Enter(Op op, const std::string& path) REQUIRES(mutex_);
  Result<std::shared_ptr<Node>> Find(const std::string& path) const REQUIRES(mutex_);
  // The directory that holds `path`, which is not the root.
  Result<std::shared_ptr<Node>> FindParent(const std::string& path) const REQUIRES(mutex_);
  Result<std::shared_ptr<Node>> FindFile(const std::string& path) const REQUIRES(mutex_);
  static void Cut(Node& node, Random* torn);

  const std::string root_;
  mutable Mutex mutex_;
  std::shared_ptr<Node> root_node_ GUARDED_BY(mutex_);
  std::vector<Fault> faults_ GUARDED_BY(mutex_);
  std::array<uint64_t, kOpCount> calls_ GUARDED_BY(mutex_){};
  uint64_t power_cuts_ GUARDED_BY(mutex_) = 0;
  SpaceInfo space_ GUARDED_BY(mutex_);
};

}  // namespace dedupfs
