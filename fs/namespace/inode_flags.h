// The flags of chattr(1) that an inode may have: kImmutable and kAppendOnly of fs/types.h. Each is an
// xattr without a value that only this module sees (docs/format/inode.md).
//
// Thread safety: functions without state.
// Errors:        EPERM for a change that a flag forbids, by the rules of the kernel's own file
//                systems.
#pragma once

#include <cstdint>
#include <string_view>

#include "chunkstore/base/error.h"
#include "fs/namespace/inode_record.h"
#include "fs/types.h"

namespace dedupfs {

inline constexpr std::string_view kImmutableName = "system.dedupfs.immutable";
inline constexpr std::string_view kAppendOnlyName = "system.dedupfs.append_only";

bool IsFlagName(std::string_view name);
uint32_t FlagsOf(const InodeRecord& record);

// That the inode may lose or get a name, or an xattr: neither flag.
Status CheckNotProtected(const InodeRecord& record, Ino ino);
// That the directory may get a new entry: not immutable.
Status CheckTakesEntries(const InodeRecord& directory, Ino ino);

}  // namespace dedupfs
