// Parsers of the namespace: inode records, entries and ACLs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fs/namespace/dentry.h"
#include "fs/namespace/inode_record.h"
#include "fs/namespace/posix_acl.h"

namespace {

// What was parsed can be written, and read again as the same.
void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto record = dedupfs::ParseInode(1, bytes)) {
    const auto again = dedupfs::ParseInode(1, dedupfs::EncodeInode(*record));
    Require(again && dedupfs::EncodeInode(*again) == dedupfs::EncodeInode(*record));
  }
  if (const auto entry = dedupfs::ParseDentry(1, 256, bytes)) {
    Require(dedupfs::ParseDentry(1, 256, dedupfs::EncodeDentry(*entry)).has_value());
  }
  if (auto acl = dedupfs::ParseAcl(bytes); acl && !acl->empty()) {
    Require(dedupfs::ParseAcl(dedupfs::EncodeAcl(*acl)).has_value());
    uint32_t mode = 0100644;
    dedupfs::SetModeFromAcl(*acl, mode);
    dedupfs::InheritAcl(*acl, mode);
    dedupfs::SetAclFromMode(*acl, mode);
    Require(dedupfs::ParseAcl(dedupfs::EncodeAcl(*acl)).has_value());
  }
  return 0;
}
