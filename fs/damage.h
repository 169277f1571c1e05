// What of files is known to be damaged, told in portions.
//
// Thread safety: values, and a function without state.
// Units:         offsets and lengths are bytes of the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "chunkstore/packs/pack_format.h"
#include "fs/types.h"

namespace dedupfs {

inline constexpr size_t kMostOtherPaths = 99;

// "bytes A to B", both within the range: how a range is told everywhere. Requires 0 < `length`.
std::string RangeText(uint64_t offset, uint64_t length);

struct DamagedRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  ChunkId chunk = 0;
  bool operator==(const DamagedRange&) const = default;
};

// Ranges of one file, ascending. A file with many comes several times, one portion after another.
struct DamagedFile {
  Ino ino = 0;
  std::string path;  // "inode N" where it has none
  // Hard links of the file, up to kMostOtherPaths of them, and how many there are besides.
  std::vector<std::string> other_paths;
  uint64_t more_paths = 0;
  std::vector<DamagedRange> ranges;
};

// Where the next portion begins.
struct DamageCursor {
  ChunkId after = 0;  // of the damaged chunks those with greater ids are looked for
  Ino ino = 0;
  uint64_t page = 0;
};

struct DamagedFiles {
  std::vector<DamagedFile> files;
  std::optional<DamageCursor> next;  // absent at the end
};

}  // namespace dedupfs
