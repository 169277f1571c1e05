#include "fs/namespace/dentry.h"

#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/coding.h"
#include "fs/namespace/inode_record.h"

namespace dedupfs {
namespace {

constexpr unsigned kTypeShift = 12;
constexpr size_t kKeyBytes = 16;

}  // namespace

NameHash SipNameHash(const SipKey& key) {
  return [key](std::string_view name) { return SipHash(key, AsBytes(name)); };
}

std::string DentryKey(Ino parent, uint64_t cookie) {
  std::string key;
  key.reserve(kKeyBytes);
  PutBigU64(key, parent);
  PutBigU64(key, cookie);
  return key;
}

bool IsStorableName(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name == "." || name == "..") return false;
  return name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::string EncodeDentry(const Dentry& entry) {
  std::string out;
  out.reserve(12 + entry.name.size());
  PutU8(out, kDentryVersion);
  PutVarint(out, entry.ino);
  PutU8(out, static_cast<uint8_t>(entry.type >> kTypeShift));
  out += entry.name;
  return out;
}

Result<Dentry> ParseDentry(Ino parent, uint64_t cookie, std::string_view value) {
  Decoder in(value);
  Dentry entry;
  const uint8_t version = in.U8();
  entry.ino = in.Varint();
  entry.type = static_cast<uint32_t>(in.U8()) << kTypeShift;
  entry.name = in.Take(in.remaining());
  if (!in.ok() || version != kDentryVersion || entry.ino == 0 || !IsStorableName(entry.name) ||
      (entry.type & ~uint32_t{S_IFMT}) != 0 || !IsValidMode(entry.type)) {
    return Corrupt("entry " + std::to_string(cookie) + " of directory inode " +
                   std::to_string(parent));
  }
  return entry;
}

Dentries::Dentries(Kv& kv, NameHash hash, bool names_collide)
    : kv_(kv), hash_(std::move(hash)), names_collide_(names_collide) {}

uint64_t Dentries::FirstCookie(std::string_view name) const {
  const uint64_t hash = hash_(name) >> 9;
  return (hash == 0 ? 1 : hash) << kCollisionBits;
}

Result<bool> NamesLieUnder(Kv& kv, const NameHash& hash) {
  const Dentries dentries(kv, hash, true);
  bool any = false;
  const auto rows = kv.Iterate(Family::kDentry, "", "");
  for (; rows->Valid(); rows->Next()) {
    any = true;
    if (rows->key().size() != kKeyBytes) continue;
    const uint64_t cookie = ParseBigU64(rows->key().substr(8));
    const auto entry = ParseDentry(ParseBigU64(rows->key().substr(0, 8)), cookie, rows->value());
    if (!entry) continue;
    if (dentries.FirstCookie(entry->name) == (cookie & ~(kCollisions - 1))) return true;
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return !any;
}

Result<std::optional<Dentry>> Dentries::At(Ino parent, uint64_t cookie) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv_.Get(Family::kDentry, DentryKey(parent, cookie)));
  if (!value) return std::optional<Dentry>();
  DEDUPFS_ASSIGN_OR_RETURN(auto entry, ParseDentry(parent, cookie, *value));
  return std::optional<Dentry>(std::move(entry));
}

Result<std::optional<DentrySlot>> Dentries::Find(Ino parent, std::string_view name) {
  // Nearly every name that is there has collision number 0, and a point read is the cheapest.
  const uint64_t first = FirstCookie(name);
  DEDUPFS_ASSIGN_OR_RETURN(auto entry, At(parent, first));
  if (entry && entry->name == name) {
    return std::optional<DentrySlot>(DentrySlot{first, std::move(entry)});
  }
  if (!names_collide_.load()) return std::optional<DentrySlot>();
  const std::string lower = DentryKey(parent, first);
  const std::string upper = DentryKey(parent, first + kCollisions);
  const auto rows = kv_.Iterate(Family::kDentry, lower, upper);
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != kKeyBytes)
      return Corrupt("entry key of inode " + std::to_string(parent));
    const uint64_t cookie = ParseBigU64(rows->key().substr(8));
    DEDUPFS_ASSIGN_OR_RETURN(auto other, ParseDentry(parent, cookie, rows->value()));
    if (other.name == name) return std::optional<DentrySlot>(DentrySlot{cookie, std::move(other)});
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return std::optional<DentrySlot>();
}

Result<DentrySlot> Dentries::Probe(Ino parent, std::string_view name) {
  const uint64_t first = FirstCookie(name);
  if (!names_collide_.load()) {
    DEDUPFS_ASSIGN_OR_RETURN(auto entry, At(parent, first));
    const bool taken = entry && entry->name != name;
    return DentrySlot{taken ? first + 1 : first, taken ? std::nullopt : std::move(entry)};
  }
  const std::string lower = DentryKey(parent, first);
  const std::string upper = DentryKey(parent, first + kCollisions);
  const auto rows = kv_.Iterate(Family::kDentry, lower, upper);
  uint64_t free = first;
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != kKeyBytes)
      return Corrupt("entry key of inode " + std::to_string(parent));
    const uint64_t cookie = ParseBigU64(rows->key().substr(8));
    DEDUPFS_ASSIGN_OR_RETURN(auto other, ParseDentry(parent, cookie, rows->value()));
    if (other.name == name) return DentrySlot{cookie, std::move(other)};
    if (cookie == free) ++free;
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  if (free == first + kCollisions) {
    return Fail(ENOSPC, "directory inode " + std::to_string(parent) + ": 256 names share one hash");
  }
  return DentrySlot{free, std::nullopt};
}

}  // namespace dedupfs
