// The directory of a store: its lock, its format file, and where things lie in it (format:
// docs/format/store.md).
//
//   format        what the store is: version, chunk size, secrets (written last by Format)
//   lock          locked by the process that has the store open; holds its pid
//   dedupfs.toml  settings (optional)
//   packs/, db/   chunks and metadata
//
// Thread safety: values; one thread opens.
// Ownership:     a StoreDirectory holds the lock until it is destroyed, and borrows `env`, which
//                outlives it.
// Errors:        ENOENT no store there, EBUSY in use (with the pid), EPROTO a newer format, EIO a
//                format file that cannot be understood; the message names the path.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "chunkstore/base/siphash.h"

namespace dedupfs {

struct StoreFormat {
  static constexpr uint32_t kVersion = 2;
  uint32_t version = kVersion;
  uint32_t average_chunk_bytes = 32 << 10;
  SipKey name_key{};     // of the directory cookies
  std::string store_id;  // 32 hexadecimal digits
  // What is in the store beyond its version, a bit each. A program that does not know a bit may:
  uint64_t compatible_features = 0;            // use the store
  uint64_t read_only_compatible_features = 0;  // read it, and must not write
  uint64_t incompatible_features = 0;          // not even read it
};

// Those that this program knows.
inline constexpr uint64_t kKnownReadOnlyCompatibleFeatures = 0;
inline constexpr uint64_t kKnownIncompatibleFeatures = 0;

// EPROTO, naming the bit: the store may be read, but not written to, by this program.
Status CheckMayWrite(const std::string& path, const StoreFormat& format);

std::string EncodeStoreFormat(const StoreFormat& format);
Result<StoreFormat> ParseStoreFormat(const std::string& path, const std::string& text);

class StoreDirectory {
 public:
  static Result<std::unique_ptr<StoreDirectory>> Open(Env& env, const std::string& path);
  // Makes an empty directory ready and locks it; the format file is written by Finish.
  static Result<std::unique_ptr<StoreDirectory>> Create(Env& env, const std::string& path,
                                                        uint32_t average_chunk_bytes);
  Status Finish();
  // Locks a store whose format file may be missing or damaged: then it has `backup`'s, which Finish
  // writes, once it has renamed a damaged one to `format.before-restore`. EINVAL: the format file is
  // that of another store.
  static Result<std::unique_ptr<StoreDirectory>> OpenToRestore(const std::string& path,
                                                               const StoreFormat& backup);
  ~StoreDirectory();
  StoreDirectory(const StoreDirectory&) = delete;
  StoreDirectory& operator=(const StoreDirectory&) = delete;

  // Why a directory without a format file is not opened: it never was a store, or only that is lost.
  static Error NoStore(Env& env, const std::string& path);

  const StoreFormat& format() const { return format_; }
  const std::string& path() const { return path_; }
  std::string packs() const { return path_ + "/packs"; }
  // What OpenToRestore found of the format file.
  bool format_is_lost() const { return format_is_lost_; }
  // Packs of extra copies; may be missing.
  std::string copies() const { return path_ + "/copies"; }
  std::string database() const { return path_ + "/db"; }
  // Packs that were written after the backup that the database was restored from; may be missing.
  std::string packs_after_backup() const { return path_ + "/packs-after-backup"; }
  std::string configuration() const { return path_ + "/dedupfs.toml"; }

 private:
  StoreDirectory(Env& env, std::string path, int lock)
      : env_(env), path_(std::move(path)), lock_(lock) {}
  static Result<int> TakeLock(const std::string& path);

  Env& env_;
  const std::string path_;
  const int lock_;
  StoreFormat format_;
  bool format_is_lost_ = false;
};

}  // namespace dedupfs
