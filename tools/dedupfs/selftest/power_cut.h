// Cuts the power below a mounted store again and again, and compares what is there afterwards with
// what was promised (docs/crash-consistency.md).
//
// Everything is in a directory of its own: the image of a disk, which holds the store, and two
// mount points. One PowerCut is one store that lives through many cuts.
//
// Thread safety: one thread at a time, the only one of the process: it forks, and starts the
//                writers of each cut itself.
// Ownership:     the destructor ends the daemon, unmounts, and removes the directory.
// Errors:        what keeps the test from running, with the errno; ENODEV with "needs THING: ..."
//                where the machine lacks something. What the store did wrong is no Error: it is in
//                CutReport::faults.
// Units:         sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/base/seeded_random.h"
#include "tools/dedupfs/selftest/child_process.h"
#include "tools/dedupfs/selftest/crash_model.h"
#include "tools/dedupfs/selftest/loop_disk.h"

namespace dedupfs {

struct PowerCutOptions {
  std::string directory;   // has room for the disk's image
  std::string filesystem;  // of the disk: ext4 or xfs
  uint64_t seed = 0;
  bool keep_image = false;  // leaves the directory where the test found a fault
};

struct CutReport {
  uint64_t steps = 0;         // of the workload, begun before the cut
  uint64_t acknowledged = 0;  // syncs that returned before it
  size_t files = 0;           // found afterwards
  size_t promises = 0;        // names that something was promised of
  std::vector<std::string> faults;
};

class PowerCut {
 public:
  // Gives the process a mount namespace of its own.
  static Result<std::unique_ptr<PowerCut>> Prepare(const PowerCutOptions& options);
  ~PowerCut();
  PowerCut(const PowerCut&) = delete;
  PowerCut& operator=(const PowerCut&) = delete;

  // Works, cuts, mounts again and compares. EINTR: the user interrupted it.
  Result<CutReport> CutOnce();
  // Unmounts well and checks; the faults.
  Result<std::vector<std::string>> Finish();

  const std::string& directory() const { return work_; }

 private:
  PowerCut(PowerCutOptions options, std::string work);

  Status MakeStore();
  Status MakeWriters();
  Status StartDaemon();
  Status Work(CutReport& report);
  Status TakeDown();
  Status Check(std::vector<std::string>& faults);
  Status Compare(CutReport& report);
  Status RemountAndCompare(CutReport& report);
  void NoteFault(std::vector<std::string>& faults, const std::string& fault);
  uint64_t acknowledged() const;

  const PowerCutOptions options_;
  const std::string work_, disk_path_, store_, mountpoint_, log_;
  SeededRandom random_;
  std::vector<std::string> pieces_;
  std::map<std::string, CrashModel> models_;  // by the name of the writer's directory
  std::unique_ptr<LoopDisk> disk_;
  std::unique_ptr<ChildProcess> daemon_;
  bool found_fault_ = false;
};

}  // namespace dedupfs
