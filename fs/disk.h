// Through what a store reaches the disk below: packs and the format file by one interface, the
// database by another. Tests replace both, to fail any call and to cut the power.
//
// Thread safety: a value; what it names may be used concurrently.
// Ownership:     borrows `env`, which outlives the store; shares `database_files`.
#pragma once

#include <memory>

#include "chunkstore/base/env.h"

namespace rocksdb {
class FileSystem;
}

namespace dedupfs {

struct Disk {
  Env* env = &PosixEnv();
  std::shared_ptr<rocksdb::FileSystem> database_files = nullptr;  // the real ones if not set
};

}  // namespace dedupfs
