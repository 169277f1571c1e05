// Reads one pack file from its own bytes alone: its table of contents, its records one after
// another, and what is left of it where it is damaged (format: docs/format/pack.md).
//
// Thread safety: none; each thread has its own reader.
// Ownership:     borrows `file`.
// Errors:        an error is a failed read of the file; damage is no error but is told as such.
// Units:         offsets and sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

class PackReader {
 public:
  // Looks at the first `size` bytes of the file only.
  PackReader(File& file, PackId id, uint64_t size) : file_(file), id_(id), size_(size) {}

  struct Toc {
    uint64_t offset = 0;
    std::vector<PackEntry> entries;
  };
  // The table of contents; nullopt for an unsealed pack, and for one whose table is damaged, with
  // what is wrong in `damage`.
  Result<std::optional<Toc>> ReadToc(std::string& damage);

  struct Damage {
    uint64_t offset = 0;
    std::optional<ChunkId> id;  // as far as a header or the table of contents tells
    std::string what;
  };
  struct Visitor {
    // The stored bytes are a view that holds until the call returns. False ends the walk.
    std::function<bool(const PackEntry&, Bytes stored)> record;
    std::function<void(const Damage&)> damage;
  };
  enum class AfterDamage {
    kFollowToc,  // go on at the next record that the table of contents names; without one, stop
    kSearch,     // without one, go on at the next bytes that are a whole and right record
  };
  // Visits every whole and right record, in order. True if the pack is sealed: its records end
  // where a right table of contents begins.
  Result<bool> Walk(AfterDamage after_damage, const Visitor& visitor);

 private:
  struct Record {
    std::optional<RecordHeader> header;
    Bytes stored;
    std::string damage;  // empty: whole and right
  };

  // At least the first byte from `offset` on, at least `wanted` bytes where the file has them.
  Result<Bytes> BytesAt(uint64_t offset, size_t wanted);
  Result<Record> RecordAt(uint64_t offset);
  Result<std::optional<uint64_t>> Search(uint64_t from);
  Status CheckHeader(const Visitor& visitor);

  File& file_;
  const PackId id_;
  const uint64_t size_;
  Buffer window_;
  uint64_t window_at_ = 0;
};

}  // namespace dedupfs
