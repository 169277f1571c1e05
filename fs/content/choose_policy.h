// Which chunking a file gets: by its library's rule, then its name, then its first bytes.
//
// Thread safety: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"
#include "chunkstore/chunking/chunker.h"
#include "fs/content/content_record.h"

namespace dedupfs {

struct ChosenPolicy {
  ChunkPolicy policy;
  PolicyReason reason = PolicyReason::kDefault;
};

// `library_rule` is the user.dedupfs.policy xattr of the library, empty if there is none:
// "content[:BYTES]", "fixed[:BYTES]" or "auto". `head` are the first bytes of the file (up to 4 KiB).
ChosenPolicy ChoosePolicy(uint32_t average, std::string_view library_rule, std::string_view name,
                          Bytes head);

// nullopt for a rule that is not understood; the outer optional's value is nullopt for "auto".
std::optional<std::optional<ChunkPolicy>> ParseLibraryRule(uint32_t average, std::string_view rule);

// "content:32768 (default)": for the virtual xattr.
std::string DescribePolicy(const ChunkPolicy& policy, PolicyReason reason);

}  // namespace dedupfs
