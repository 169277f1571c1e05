// The pack files of a store: appends records to the open pack, seals it at kPackTargetBytes, reads
// records of any pack, removes packs (format: docs/format/pack.md).
//
// Thread safety: every public method may be called concurrently.
// Ownership:     borrows `env`, which outlives it; owns the open files.
// Durability:    a record survives a crash once a Sync() that began after its Append() returned
//                OK. After a crash the tail of an unsealed pack is void; Packs never appends to a
//                pack that it did not create itself.
// Errors:        after a failed Append or Sync of a pack that may be half done, every later Append
//                and Sync returns EROFS with the first error's message; reads go on. ENOSPC of an
//                Append: nothing of the batch counts, the pack is left (its tail is void), and the
//                next Append starts a new one.
// Units:         offsets and lengths are bytes.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "chunkstore/base/env.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {

struct RecordInput {
  RecordHeader header;
  Bytes stored;
};

class Packs {
 public:
  // Gives a pack id that was never given before, also over crashes.
  using NextId = std::function<Result<PackId>()>;

  static Result<std::unique_ptr<Packs>> Open(Env& env, std::string directory, NextId next_id);
  ~Packs();

  // Appends the records one after another and returns where each lies.
  Result<std::vector<Location>> Append(std::span<const RecordInput> records);

  // Makes every record appended before the call durable.
  Status Sync();

  // Reads one record into `scratch` (resized) and checks it: lies whole in the pack, is the record
  // of `id`, and its checksum holds. Returns the stored bytes, a view into `scratch`, and the
  // header. ENOENT: no such pack. EIO, naming pack, offset and id: damage.
  struct Record {
    RecordHeader header;
    Bytes stored;
  };
  Result<Record> Read(const Location& location, ChunkId id, Buffer& scratch);

  // Every record of a pack, in order: of a sealed one by its table of contents, of an open or
  // unsealed one by its records up to the first that is not whole and right (`damaged` then tells
  // where). ENOENT: no such pack.
  struct Contents {
    std::vector<PackEntry> entries;
    bool sealed = false;
    std::optional<std::string> damaged;  // what is wrong with the listing, if anything
  };
  Result<Contents> List(PackId pack);
  // The same, always from the records themselves (check, rebuild).
  Result<Contents> Scan(PackId pack);

  // Seals the open pack, if any, so that its table of contents is on disk (clean unmount).
  Status SealOpen();

  // The ids of all pack files, ascending, whatever their state.
  Result<std::vector<PackId>> All();
  Result<uint64_t> FileSize(PackId pack);
  // Has the next reads of the pack come from the disk: a hint.
  void DropCached(PackId pack);
  // True for the pack that appends go to now.
  bool IsOpen(PackId pack) const;
  // Deletes the file. The caller has seen to it that nothing durable names it. EBUSY: open pack.
  Status Remove(PackId pack);
  // Bytes of all pack files (kept as a running sum after the first call).
  Result<uint64_t> TotalBytes();

 private:
  struct State;
  Packs(Env& env, std::string directory, NextId next_id);
  std::unique_ptr<State> state_;
};

}  // namespace dedupfs
