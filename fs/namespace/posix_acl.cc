#include "fs/namespace/posix_acl.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

constexpr uint32_t kAclVersion = 2;
constexpr size_t kHeaderBytes = 4;
constexpr size_t kEntryBytes = 8;
constexpr uint32_t kUndefinedId = 0xffffffff;

bool HasId(AclTag tag) { return tag == AclTag::kUser || tag == AclTag::kGroup; }

bool IsTag(uint16_t tag) {
  return tag != 0 && tag <= static_cast<uint16_t>(AclTag::kOther) && (tag & (tag - 1)) == 0;
}

size_t Count(const Acl& acl, AclTag tag) {
  return static_cast<size_t>(std::count_if(
      acl.begin(), acl.end(), [tag](const AclEntry& entry) { return entry.tag == tag; }));
}

bool IsValid(const Acl& acl) {
  if (!std::is_sorted(acl.begin(), acl.end(),
                      [](const AclEntry& a, const AclEntry& b) { return a.tag < b.tag; })) {
    return false;
  }
  const size_t named = Count(acl, AclTag::kUser) + Count(acl, AclTag::kGroup);
  const size_t masks = Count(acl, AclTag::kMask);
  return Count(acl, AclTag::kUserObj) == 1 && Count(acl, AclTag::kGroupObj) == 1 &&
         Count(acl, AclTag::kOther) == 1 && masks <= 1 && (named == 0 || masks == 1);
}

AclEntry* FindTag(Acl& acl, AclTag tag) {
  for (AclEntry& entry : acl) {
    if (entry.tag == tag) return &entry;
  }
  return nullptr;
}

// The entry that the group bits of the mode stand for.
AclEntry* GroupClass(Acl& acl) {
  AclEntry* mask = FindTag(acl, AclTag::kMask);
  return mask != nullptr ? mask : FindTag(acl, AclTag::kGroupObj);
}

bool IsMinimal(const Acl& acl) { return acl.size() == 3; }

struct ClassEntry {
  AclEntry* entry;
  unsigned shift;
};

}  // namespace

Result<Acl> ParseAcl(std::string_view xattr) {
  if (xattr.empty()) return Acl();
  Decoder in(xattr);
  if (xattr.size() < kHeaderBytes || (xattr.size() - kHeaderBytes) % kEntryBytes != 0 ||
      in.U32() != kAclVersion) {
    return Fail(EINVAL, "ACL: no version 2 list");
  }
  Acl acl;
  acl.reserve(in.remaining() / kEntryBytes);
  while (in.remaining() > 0) {
    const uint16_t tag = in.U16();
    const uint16_t permissions = in.U16();
    const uint32_t id = in.U32();
    const auto kind = static_cast<AclTag>(tag);
    if (!IsTag(tag) || permissions > 7 || (HasId(kind) && id == kUndefinedId)) {
      return Fail(EINVAL, "ACL: an entry with an unknown tag, permission or id");
    }
    acl.push_back(AclEntry{kind, permissions, HasId(kind) ? id : kUndefinedId});
  }
  if (!acl.empty() && !IsValid(acl)) return Fail(EINVAL, "ACL: entries missing or out of order");
  return acl;
}

std::string EncodeAcl(const Acl& acl) {
  std::string out;
  out.reserve(kHeaderBytes + acl.size() * kEntryBytes);
  PutU32(out, kAclVersion);
  for (const AclEntry& entry : acl) {
    PutU16(out, static_cast<uint16_t>(entry.tag));
    PutU16(out, entry.permissions);
    PutU32(out, HasId(entry.tag) ? entry.id : kUndefinedId);
  }
  return out;
}

bool SetModeFromAcl(const Acl& acl, uint32_t& mode) {
  Acl copy = acl;
  uint32_t bits = 0;
  for (const ClassEntry& part :
       {ClassEntry{FindTag(copy, AclTag::kUserObj), 6}, ClassEntry{GroupClass(copy), 3},
        ClassEntry{FindTag(copy, AclTag::kOther), 0}}) {
    if (part.entry != nullptr) bits |= static_cast<uint32_t>(part.entry->permissions) << part.shift;
  }
  mode = (mode & ~0777u) | bits;
  return IsMinimal(acl);
}

bool InheritAcl(Acl& acl, uint32_t& mode) {
  for (const ClassEntry& part :
       {ClassEntry{FindTag(acl, AclTag::kUserObj), 6}, ClassEntry{GroupClass(acl), 3},
        ClassEntry{FindTag(acl, AclTag::kOther), 0}}) {
    if (part.entry == nullptr) continue;
    const uint32_t both = part.entry->permissions & (mode >> part.shift) & 7u;
    part.entry->permissions = static_cast<uint16_t>(both);
    mode = (mode & ~(7u << part.shift)) | both << part.shift;
  }
  return IsMinimal(acl);
}

void SetAclFromMode(Acl& acl, uint32_t mode) {
  for (const ClassEntry& part :
       {ClassEntry{FindTag(acl, AclTag::kUserObj), 6}, ClassEntry{GroupClass(acl), 3},
        ClassEntry{FindTag(acl, AclTag::kOther), 0}}) {
    if (part.entry != nullptr) {
      part.entry->permissions = static_cast<uint16_t>((mode >> part.shift) & 7u);
    }
  }
}

}  // namespace dedupfs
