// Chooses a codec for a chunk and compresses: for a write, on all cores, lz4, or raw where a probe
// of the chunk or the chunks before it in the file say that compressing gains nothing; for a chunk
// that is rewritten, zstd.
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

// Compresses one chunk that nobody waits for: zstd at `zstd_level`, or raw where the gain is under
// 6 %. One that is stored raw now (`was_raw`) must let zstd's fastest level gain something first,
// so that media cost little. Never gives lz4: what was rewritten once is not worth it again.
void EncodeCold(EncodedChunk& chunk, bool was_raw, int zstd_level);

}  // namespace dedupfs
