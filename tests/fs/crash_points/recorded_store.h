// A store on a FaultDisk, its history, and what every crash of that history leaves.
//
// Thread safety: one thread at a time.
// Ownership:     owns its directories and the open file system.
// Errors:        those of the file system; what a crash breaks is a test failure that names the
//                instant, the call before it, and what was lost.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"
#include "tests/fs/crash_points/history.h"
#include "tests/fs/crash_points/ledger.h"
#include "tests/support/disk_model.h"
#include "tests/support/fault_disk.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {

class RecordedStore {
 public:
  // An empty disk.
  RecordedStore();
  ~RecordedStore();
  RecordedStore(const RecordedStore&) = delete;
  RecordedStore& operator=(const RecordedStore&) = delete;

  FaultDisk& disk() { return *disk_; }
  // Only while it is open.
  FileSystem& fs() { return *fs_; }
  History& history() { return *history_; }
  Ledger& ledger() { return ledger_; }

  Status Format();
  // The first time, what is there counts as promised.
  Status Open();
  // With whatever error, it is closed then.
  Status Close();

  // What an enumeration tried.
  struct Points {
    uint64_t instants = 0;  // of the record
    uint64_t states = 0;    // crashes tried: instants times kinds of loss, without equal ones
  };
  // Tries a crash at the instants `from`, from + stride, ..., up to now, with every kind of loss
  // (torn ones `torn` times); prints how many there were. The store is closed.
  Points TryEveryCrash(uint64_t from, uint64_t stride, int torn, uint64_t seed);
  // Only the state after a crash now.
  void TryCrashNow(Loss loss, uint64_t seed);
  // A crash at `instant`, then one at every `stride`th call of the mount after it; how many states
  // there were. The store is closed.
  uint64_t TryEveryCrashOfRecovery(uint64_t instant, Loss loss, uint64_t stride, uint64_t seed);
  // A torn crash at `instant`, then as many as that at random calls of the mounts after it.
  void TryCrashesInARow(uint64_t instant, int times, uint64_t seed);

 private:
  void Try(const DiskModel& model, uint64_t instant, Loss loss, uint64_t seed);
  std::vector<DiskCall> Recover(DiskModel& model);
  void ExpectPromises(uint64_t instant);
  void WriteConfiguration(const std::string& store) const;

  TempDir temp_;
  Ledger ledger_;
  bool formatted_ = false;
  uint64_t formatted_at_ = 0;
  bool begun_ = false;
  std::unique_ptr<FaultDisk> disk_;
  std::unique_ptr<Env> env_;
  std::unique_ptr<FileSystem> fs_;
  std::unique_ptr<History> history_;
};

}  // namespace dedupfs
