// One writer of a workload that is cut off: works on files in a directory of its own, at random,
// and tells a CrashModel what it does.
//
// Thread safety: belongs to the thread that runs it; fault() may be read once Run() has returned.
// Ownership:     borrows all that it is given.
// Errors:        an error before the cut began is a fault of the file system; after it, the end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/base/seeded_random.h"
#include "tools/dedupfs/selftest/crash_model.h"
#include "tools/dedupfs/selftest/step_counter.h"

namespace dedupfs {

// Begins the names of files that will replace others; nothing is promised of them.
constexpr const char* kTemporaryPrefix = "new-";

class CrashWriter {
 public:
  // `pieces` are what it writes, shared with other writers so that contents are found again.
  // `store` is asked for reclaiming and recompressing now and then, by its control socket.
  CrashWriter(std::string directory, std::string store, CrashModel& model,
              const std::vector<std::string>& pieces, StepCounter& steps, uint64_t seed);

  // Works until the cut has begun, or something fails.
  void Run();
  // Empty, or what went wrong before the cut.
  const std::string& fault() const { return fault_; }

 private:
  Status WorkOnce();
  Status Create();
  Status Append();
  Status Overwrite();
  Status Resize();
  Status Replace();
  Status Delete();
  Status Maintain();

  Status Step();
  Status WriteAt(int fd, const std::string& bytes, uint64_t offset);
  Status WriteNew(const std::string& name, const std::string& bytes, bool sync);
  Status Sync(int fd);
  Status SyncDirectory();
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }
  std::string PickName();
  std::string PickExisting();
  std::string PickContent();

  const std::string directory_, store_;
  CrashModel& model_;
  const std::vector<std::string>& pieces_;
  StepCounter& steps_;
  SeededRandom random_;
  std::string fault_;
};

}  // namespace dedupfs
