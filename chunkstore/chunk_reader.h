// Reads chunks back: decoded-chunk cache, then row, record, checksum and codec.
//
// Thread safety: every method may be called concurrently.
// Ownership:     borrows everything in ReaderParts.
// Errors:        ENOENT: no such chunk (any more). EIO, naming chunk, pack and offset: the record
//                is damaged or missing, the chunk is condemned, and no extra copy of it is whole.
//                EINVAL: a range outside of it.
//                Another error of the disk is passed on and condemns nothing.
// Units:         bytes.
#pragma once

#include <functional>
#include <span>

#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_cache.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/in_flight.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

// Reads the record that `row` names and decodes it into `raw` (resized); checks all but the
// SHA-256. ENOENT: no such pack. EIO: damage.
Status ReadRecord(Packs& packs, ChunkId id, const ChunkRow& row, Buffer& raw);
// The same into `out`, which has the chunk's raw length.
Status ReadRecordInto(Packs& packs, ChunkId id, const ChunkRow& row, MutableBytes out);

struct ReaderParts {
  Kv& kv;
  Packs& packs;
  ThreadPool& pool;
  InFlight& in_flight;
  ChunkCache& cache;
  std::function<void(ChunkId, const Location&)> condemn;
  // The content by the chunk's extra copy, where its record is damaged.
  std::function<Result<Buffer>(ChunkId, const ChunkRow&)> rescue;
};

class ChunkReader {
 public:
  explicit ChunkReader(ReaderParts parts) : parts_(std::move(parts)) {}

  Status Read(ChunkId id, uint32_t offset, MutableBytes out);
  Status ReadMany(std::span<const ChunkStore::ReadItem> items);

 private:
  Result<ChunkRow> FindRow(ChunkId id);
  Status Load(const ChunkStore::ReadItem& item, const ChunkRow& row);
  Status ReadFrom(const ChunkStore::ReadItem& item, const ChunkRow& row);

  const ReaderParts parts_;
};

}  // namespace dedupfs
