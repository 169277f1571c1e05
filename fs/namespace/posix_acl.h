// POSIX ACLs in the form of the xattrs system.posix_acl_*: version 2, little-endian, a list of
// (tag, permissions, id) (linux/posix_acl_xattr.h).
//
// Thread safety: values and functions without state.
// Errors:        EINVAL for bytes that are no valid ACL, by the rules of acl_valid(3).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"

namespace dedupfs {

inline constexpr std::string_view kAccessAclName = "system.posix_acl_access";
inline constexpr std::string_view kDefaultAclName = "system.posix_acl_default";

enum class AclTag : uint16_t {
  kUserObj = 0x01,
  kUser = 0x02,
  kGroupObj = 0x04,
  kGroup = 0x08,
  kMask = 0x10,
  kOther = 0x20,
};

struct AclEntry {
  AclTag tag = AclTag::kOther;
  uint16_t permissions = 0;  // 0 to 7
  uint32_t id = 0;           // of kUser and kGroup
};
using Acl = std::vector<AclEntry>;

// Empty for no bytes and for a list without entries: both mean "no ACL".
Result<Acl> ParseAcl(std::string_view xattr);
std::string EncodeAcl(const Acl& acl);

// Sets the permission bits of `mode` to what the access ACL says. Returns whether the mode says it
// all, so that no ACL need be kept.
bool SetModeFromAcl(const Acl& acl, uint32_t& mode);
// Makes a default ACL the access ACL of an inode created with `mode`: each narrows the other.
// Returns whether the mode says it all.
bool InheritAcl(Acl& acl, uint32_t& mode);
// What chmod does to an access ACL.
void SetAclFromMode(Acl& acl, uint32_t mode);

}  // namespace dedupfs
