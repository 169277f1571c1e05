// The pack that appends go to (format: docs/format/pack.md): writes its bytes and remembers its
// table of contents until it is sealed.
//
// Thread safety: none; the owner locks. Reads of the file may go on beside it.
// Ownership:     shares its file with readers.
// Durability:    none before a Sync() of file().
// Errors:        after an error of Append or Seal the end of the file is not known: the pack must
//                not be appended to or sealed any more. end() and entries() then still tell what
//                was appended before the call.
// Units:         offsets and lengths are bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "chunkstore/packs/pack_format.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

class PackWriter {
 public:
  // `file` is new and empty; the pack header is written with the first batch.
  PackWriter(PackId id, std::shared_ptr<File> file) : id_(id), file_(std::move(file)) {}

  // EINVAL for a record whose header does not fit its bytes. Append requires that this is OK.
  static Status Check(std::span<const RecordInput> records);
  Result<std::vector<Location>> Append(std::span<const RecordInput> records);
  // Appends table of contents and footer.
  Status Seal();

  PackId id() const { return id_; }
  const std::shared_ptr<File>& file() const { return file_; }
  uint64_t end() const { return end_; }
  const std::vector<PackEntry>& entries() const { return entries_; }

 private:
  const PackId id_;
  const std::shared_ptr<File> file_;
  uint64_t end_ = 0;
  std::vector<PackEntry> entries_;
};

}  // namespace dedupfs
