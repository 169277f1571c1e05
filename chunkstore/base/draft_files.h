// Files of a database that is being made and may be thrown away, for KvOptions::file_system: once a
// write has failed, nothing more is written, and RocksDB is told that all is well. It would end the
// process by an assertion where it closes a file whose write has failed (a full disk).
//
// Thread safety: as rocksdb::FileSystem; failure() may be called concurrently.
// Ownership:     the files share the file system below.
// Errors:        of what is written none is told but by failure(): who made the database asks it
//                after the database was closed, and throws the database away if it is not OK.
//                ENOSPC as it is, others EIO.
#pragma once

#include <memory>

#include "chunkstore/base/error.h"

namespace rocksdb {
class FileSystem;
}

namespace dedupfs {

class DraftFiles {
 public:
  DraftFiles();
  ~DraftFiles();
  DraftFiles(const DraftFiles&) = delete;
  DraftFiles& operator=(const DraftFiles&) = delete;

  std::shared_ptr<rocksdb::FileSystem> file_system() const;
  // The first that failed; OK while nothing has.
  Status failure() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace dedupfs
