// Opening, and what is read of single inodes and names.
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "chunkstore/base/coding.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

// The attributes of a name that is stored; none where the entry names no inode (any more).
Result<std::optional<Attributes>> LookupStored(NamespaceCore& core, Ino parent,
                                               std::string_view name) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto slot, core.dentries.Find(parent, name));
  if (!slot) return Fail(ENOENT, "no such name in directory inode " + std::to_string(parent));
  const Ino ino = slot->entry->ino;
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, core.Find(ino));
  if (!record) return std::optional<Attributes>();
  return std::optional<Attributes>(ToAttributes(ino, *record));
}

}  // namespace

Namespace::Namespace(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Namespace::~Namespace() = default;

Result<std::unique_ptr<Namespace>> Namespace::Open(Kv& kv, const SipKey& name_key, bool read_only) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto count, kv.Get(Family::kMeta, kInodeCountKey));
  uint64_t inodes = 0;
  if (count) {
    Decoder in(*count);
    inodes = in.U64();
    if (!in.AtEnd()) return Corrupt("the count of inodes");
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto collide, kv.Get(Family::kMeta, kNamesCollideKey));
  auto parts =
      std::make_unique<Parts>(kv, SipNameHash(name_key), read_only, inodes, collide.has_value());
  DEDUPFS_ASSIGN_OR_RETURN(const auto root, parts->Find(kRootIno));
  if (!root || !IsDirectory(*root) || root->nlink < 2) return Corrupt("the root directory");
  return std::unique_ptr<Namespace>(new Namespace(std::move(parts)));
}

void Namespace::Format(Batch& batch, uint32_t uid, uint32_t gid, Time now) {
  InodeRecord root;
  root.mode = S_IFDIR | 0755;
  root.nlink = 2;
  root.uid = uid;
  root.gid = gid;
  root.parent = kRootIno;
  root.atime = root.mtime = root.ctime = root.btime = now;
  batch.Put(Family::kInode, InodeKey(kRootIno), EncodeInode(root));
  std::string count;
  PutU64(count, 1);
  batch.Put(Family::kMeta, kInodeCountKey, count);
}

Result<Attributes> Namespace::Lookup(Ino parent, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(CheckName(name));
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, parts_->Load(parent));
  // The kernel opens file handles of every type of inode by looking "." up in it.
  if (name == ".") return ToAttributes(parent, record);
  if (!IsDirectory(record)) return Fail(ENOTDIR, "inode " + std::to_string(parent));
  if (name == "..") return Get(record.parent);
  DEDUPFS_ASSIGN_OR_RETURN(auto found, LookupStored(*parts_, parent, name));
  if (found) return *found;
  // The name may have gone, and its inode been erased, between the two reads; under the lock of
  // the directory an entry names an inode.
  const InodeLocks::Guard guard(parts_->locks, {parent});
  DEDUPFS_ASSIGN_OR_RETURN(found, LookupStored(*parts_, parent, name));
  if (found) return *found;
  return Corrupt("an entry of directory inode " + std::to_string(parent) + " names no inode");
}

Result<Attributes> Namespace::Get(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto record, parts_->Load(ino));
  return ToAttributes(ino, record);
}

Result<std::string> Namespace::ReadLink(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(auto record, parts_->Load(ino));
  if (!S_ISLNK(record.mode)) {
    return Fail(EINVAL, "inode " + std::to_string(ino) + " is no symlink");
  }
  return std::move(record.target);
}

uint64_t Namespace::InodeCount() const { return parts_->inode_count.load(); }

}  // namespace dedupfs
