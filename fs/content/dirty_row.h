// A dirty extent in the database: a change of a file that was fsynced before it was chunked. The
// write-ahead log is the intent log (format: docs/format/content.md).
//
// Rows of a file are applied in the order of their sequence numbers over its recipe.
//
// Thread safety: values and pure functions.
// Errors:        Parse gives EIO naming the inode and sequence.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"
#include "fs/types.h"

namespace dedupfs {

struct DirtyRow {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool zeros = false;     // the range reads as zeros, and there is no data
  std::string_view data;  // view into the parsed value
};

std::string DirtyKey(Ino ino, uint64_t sequence, uint32_t part);
uint64_t DirtySequenceOfKey(std::string_view key);
Ino DirtyInoOfKey(std::string_view key);

std::string EncodeDirtyRow(uint64_t offset, uint64_t length, bool zeros, Bytes data);
Result<DirtyRow> ParseDirtyRow(std::string_view key, std::string_view value);

}  // namespace dedupfs
