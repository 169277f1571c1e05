// Operations of one user on a file system over a FaultDisk, entered in a Ledger as they are done.
//
// Every operation returns what the file system said; after an error the ledger takes nothing for
// done and nothing for promised. Paths: "name" or "directory/name".
//
// Thread safety: one thread at a time.
// Ownership:     borrows disk, file system and ledger, which outlive it.
// Errors:        those of the file system.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"
#include "tests/fs/crash_points/ledger.h"
#include "tests/support/fault_disk.h"

namespace dedupfs {

class History {
 public:
  History(FaultDisk& disk, FileSystem& fs, Ledger& ledger)
      : disk_(disk), fs_(fs), ledger_(ledger) {}

  // --- content; the file is opened and closed for each ---
  Status Write(const std::string& path, uint64_t offset, std::string_view data);
  // `passing`: it is written again at once, and no crash may leave it cut.
  Status Truncate(const std::string& path, uint64_t size, bool passing = false);
  Status Copy(const std::string& from, uint64_t from_offset, const std::string& to,
              uint64_t to_offset, uint64_t length);
  Status Fsync(const std::string& path);

  // --- names ---
  Status MakeFile(const std::string& path);
  Status MakeDirectory(const std::string& path);
  Status Link(const std::string& path, const std::string& new_path);
  Status Unlink(const std::string& path);
  Status RemoveDirectory(const std::string& path);
  Status Rename(const std::string& from, const std::string& to);
  Status FsyncDirectory(const std::string& path);

  // --- the whole ---
  Status SyncAll();
  Status Reclaim();
  Status Recompress();

  FileSystem& fs() { return fs_; }
  const std::map<std::string, Ino>& names() const { return ledger_.names(); }
  std::string ContentOf(const std::string& path) const {
    return ledger_.ContentOf(names().at(path));
  }

 private:
  struct Place {
    Ino parent;
    std::string name;
  };
  Place PlaceOf(const std::string& path) const;
  Ino InoOf(const std::string& path) const { return path.empty() ? kRootIno : names().at(path); }
  Status WithFile(const std::string& path, const std::function<Status(OpenFile&)>& act);
  Status Make(const std::string& path, uint32_t mode);

  FaultDisk& disk_;
  FileSystem& fs_;
  Ledger& ledger_;
};

}  // namespace dedupfs
