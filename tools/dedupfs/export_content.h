// Copies what can be read of a file's content, and tells what cannot.
//
// Thread safety: as the FileSystem; one thread for one file.
// Ownership:     borrows everything.
// Durability:    none before the caller has synced the file.
// Errors:        those of the disk that is written to. What cannot be read is no error: it stays a
//                hole and goes to `lost`, each range once, ascending.
// Units:         bytes.
#pragma once

#include <cstdint>
#include <functional>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"
#include "fs/content/open_file.h"
#include "fs/file_system.h"

namespace dedupfs {

struct CopyHooks {
  std::function<void(uint64_t offset, uint64_t length, const Error&)> lost;
  std::function<void(uint64_t bytes)> copied;
};

struct CopiedContent {
  uint64_t copied_bytes = 0;
  uint64_t lost_bytes = 0;
};

// Into the new, empty file `fd`, which gets `size` bytes in the end. Requires a `buffer` that is not
// empty: so much is read at once.
Result<CopiedContent> CopyContent(FileSystem& file_system, OpenFile& file, uint64_t size, int fd,
                                  MutableBytes buffer, const CopyHooks& hooks);

}  // namespace dedupfs
