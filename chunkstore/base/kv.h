// The metadata database: RocksDB behind a small interface, the only room that includes it.
//
// Thread safety: every method may be called concurrently.
// Ownership:     owns the database; iterators must end before it does.
// Durability:    Write() appends the batch to the write-ahead log in memory: a crash of the
//                process or the machine may lose it, but only together with every later batch.
//                What survives is always a prefix of the batches. A batch is on disk once a later
//                SyncLog() returned OK, or once Write(kSynced) did.
// Errors:        EIO for corruption and anything odd, ENOSPC, EROFS where the log failed: after a
//                failed write or sync every later one fails too (Failure() says why).
// Units:         sizes are bytes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"

namespace rocksdb {
class FileSystem;
}

namespace dedupfs {

// One RocksDB column family each. Keys: docs/format/.
enum class Family : uint8_t {
  kMeta,         // names -> counters, reserved ranges, totals
  kFingerprint,  // fingerprint -> chunk id; insert and delete only
  kChunk,        // chunk id -> chunk row
  kPack,         // pack id -> pack row
  kInode,        // inode number -> inode record
  kDentry,       // parent + cookie -> entry
  kXattr,        // inode number + name -> a large xattr
  kContent,      // inode number -> content record of a regular file
  kRecipe,       // inode number + page number -> recipe page
  kDirty,        // inode number + sequence -> dirty extent
  kOrphan,       // inode number -> nothing
};
inline constexpr size_t kFamilyCount = 11;

// Changes that are written together or not at all. A value type.
class Batch {
 public:
  Batch();
  ~Batch();
  Batch(Batch&&) noexcept;
  Batch& operator=(Batch&&) noexcept;

  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);
  // Appends the changes of `other` after this one's.
  void Append(const Batch& other);
  bool empty() const;
  size_t count() const;
  size_t size_bytes() const;

 private:
  friend class Kv;
  struct Change {
    Family family;
    bool is_delete;
    uint32_t key_offset, key_size, value_offset, value_size;
  };
  std::string data_;
  std::vector<Change> changes_;
};

// Walks the keys of one family within [lower, upper) in order, as of its creation.
// Thread safety: one thread at a time.
class KvIterator {
 public:
  virtual ~KvIterator() = default;
  virtual bool Valid() const = 0;
  virtual void Next() = 0;
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  // Not OK where Valid() became false through an error, not the end.
  virtual Status status() const = 0;
};

enum class Durability { kBuffered, kSynced };

struct KvOptions {
  uint64_t block_cache_bytes = 256ull << 20;
  uint64_t memtable_bytes = 64ull << 20;  // over all families
  bool create = false;                    // make a new database; EEXIST if there is one
  bool read_only = false;
  // The files below; the real ones if not set (tests replace them).
  std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;
  // Told, while Open() runs and on its thread, how many bytes of the log it has replayed.
  std::function<void(uint64_t done, uint64_t total)> replay_progress = nullptr;
};

class Kv {
 public:
  virtual ~Kv() = default;
  static Result<std::unique_ptr<Kv>> Open(const std::string& path, const KvOptions& options);

  virtual Result<std::optional<std::string>> Get(Family family, std::string_view key) = 0;
  virtual Result<std::vector<std::optional<std::string>>> MultiGet(
      Family family, std::span<const std::string_view> keys) = 0;
  virtual Status Write(const Batch& batch, Durability durability) = 0;
  // Makes every earlier Write() durable.
  virtual Status SyncLog() = 0;
  // Hands every earlier Write() to the kernel, so that a crash of the process alone keeps it.
  virtual Status FlushLog() = 0;
  // An empty upper bound means the end of the family.
  virtual std::unique_ptr<KvIterator> Iterate(Family family, std::string_view lower,
                                              std::string_view upper) = 0;
  // Why writes fail now; OK while they do not.
  virtual Status Failure() const = 0;
  // Bytes of all files of the database on disk.
  virtual Result<uint64_t> DiskBytes() = 0;
  // Makes a copy as of now in the new directory `path`, which Open() opens (files that never change
  // are hard links where the disk allows). Every batch of before is in it. EROFS where opened so.
  virtual Status Checkpoint(const std::string& path) = 0;
  // Merges everything to the last level (tests, maintenance).
  virtual Status CompactAll() = 0;

 protected:
  // The changes of a batch, for implementations.
  struct ChangeView {
    Family family;
    bool is_delete;
    std::string_view key, value;
  };
  static size_t ChangeCount(const Batch& batch);
  static ChangeView ChangeAt(const Batch& batch, size_t index);
};

// The smallest key that is greater than every key that starts with `prefix` ("" if none).
std::string PrefixEnd(std::string_view prefix);

}  // namespace dedupfs
