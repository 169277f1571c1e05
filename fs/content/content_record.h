// The content record of a regular file: size, times and policy (format: docs/format/content.md). A file
// without one is empty, and its times are those of its inode record.
//
// Thread safety: values and pure functions.
// Errors:        Parse gives EIO naming the inode.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "chunkstore/chunking/chunker.h"
#include "fs/types.h"

namespace dedupfs {

// Why a file is chunked as it is. Values are part of the format.
enum class PolicyReason : uint8_t { kDefault = 0, kLibrary = 1, kName = 2, kMagic = 3 };
inline constexpr uint8_t kPolicyReasonCount = 4;

struct ContentRecord {
  uint64_t size = 0;
  uint64_t recipe_size = 0;  // size that the recipe was made for; differs while dirty rows wait
  uint64_t data_bytes = 0;   // bytes that are no hole, by the recipe
  Time mtime = 0;
  Time ctime = 0;
  bool has_dirty_rows = false;
  bool policy_chosen = false;
  ChunkPolicy policy;
  PolicyReason reason = PolicyReason::kDefault;
};

std::string ContentKey(Ino ino);
std::string EncodeContentRecord(const ContentRecord& record);
Result<ContentRecord> ParseContentRecord(Ino ino, std::string_view value);

}  // namespace dedupfs
