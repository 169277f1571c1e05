// Chooses a codec for each chunk of a write and compresses, on all cores: lz4, or raw where a probe
// of the chunk or the chunks before it in the file say that compressing gains nothing.
//
// Thread safety: may be called concurrently for different hints.
#pragma once

#include <span>

#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_store.h"

namespace dedupfs {

struct EncodedChunk {
  Bytes data;                 // in
  CodecHint* hint = nullptr;  // in; updated in the order of the chunks
  Codec codec = Codec::kRaw;  // out
  Bytes stored;               // out; a view of `data` or of `compressed`
  Buffer compressed;
};

void EncodeChunks(ThreadPool& pool, std::span<EncodedChunk> chunks);

}  // namespace dedupfs
