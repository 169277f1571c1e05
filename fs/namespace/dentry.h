// Directory entries: the rows of kDentry, and how a name finds its row (format:
// docs/format/dentry.md).
//
// A key is the parent and a cookie: 55 bits of a keyed hash of the name, never 0, and an 8-bit
// collision number. A name is found by its hash; an entry keeps its cookie for life.
//
// Thread safety: every method may be called concurrently; who acts upon what Probe found holds
//                the parent's inode lock from before the call until the write.
// Ownership:     borrows the Kv.
// Errors:        EIO naming the entry for a row that cannot be parsed. ENOSPC where all 256
//                collision numbers of a hash are taken.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/siphash.h"
#include "fs/types.h"

namespace dedupfs {

inline constexpr uint8_t kDentryVersion = 1;
inline constexpr uint64_t kDotCookie = 1;
inline constexpr uint64_t kDotDotCookie = 2;
inline constexpr unsigned kCollisionBits = 8;
inline constexpr uint64_t kCollisions = uint64_t{1} << kCollisionBits;
static_assert(kDotDotCookie < kCollisions, "a hash is never 0, so no entry has a cookie below");

inline constexpr std::string_view kNamesCollideKey = "names_collide";  // in kMeta, no value

// Any 64-bit hash; its upper 55 bits are used. Tests replace it to force collisions.
using NameHash = std::function<uint64_t(std::string_view name)>;
NameHash SipNameHash(const SipKey& key);

struct Dentry {
  Ino ino = 0;
  uint32_t type = 0;  // the S_IFMT bits
  std::string name;
};

// Where a name lies in its directory, or, without an entry, where it would be put.
struct DentrySlot {
  uint64_t cookie = 0;
  std::optional<Dentry> entry;
};

std::string DentryKey(Ino parent, uint64_t cookie);
std::string EncodeDentry(const Dentry& entry);
Result<Dentry> ParseDentry(Ino parent, uint64_t cookie, std::string_view value);
// 1 to 255 bytes, no slash, no NUL, and neither "." nor "..".
bool IsStorableName(std::string_view name);

// Whether the names of a database lie where `hash` puts them; also where there are none. Another
// store's secret puts none of them there. Reads up to the first that does.
Result<bool> NamesLieUnder(Kv& kv, const NameHash& hash);

class Dentries {
 public:
  // `names_collide`: some entry of the store has, or had, a collision number over 0. Where none
  // has, a name is found, or known to be absent, by one point read.
  Dentries(Kv& kv, NameHash hash, bool names_collide);

  // To be called before an entry with a collision number over 0 is written; the batch that writes
  // it puts kNamesCollideKey as well.
  void NoteCollision() { names_collide_.store(true); }
  bool names_collide() const { return names_collide_.load(); }

  // The first cookie of the names that hash like this one.
  uint64_t FirstCookie(std::string_view name) const;
  // Cookie and entry of a name that is there.
  Result<std::optional<DentrySlot>> Find(Ino parent, std::string_view name);
  // The same, and for a name that is not there the lowest free cookie.
  Result<DentrySlot> Probe(Ino parent, std::string_view name);
  Result<std::optional<Dentry>> At(Ino parent, uint64_t cookie);

 private:
  Kv& kv_;
  const NameHash hash_;
  std::atomic<bool> names_collide_;
};

}  // namespace dedupfs
