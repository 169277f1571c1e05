// How the bytes of a chunk are stored: raw, or compressed by lz4 or zstd.
//
// Thread safety: every function may be called concurrently.
// Errors:        Decompress gives EIO for anything that does not decode to exactly out.size().
// Units:         bytes.
#pragma once

#include <cstdint>
#include <optional>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"

namespace dedupfs {

// Values are part of the format.
enum class Codec : uint8_t { kRaw = 0, kLz4 = 1, kZstd = 2 };
inline constexpr uint8_t kCodecCount = 3;

// True if a sample of 4 KiB of `data` says that compressing is worth trying.
bool ProbeCompressible(Bytes data);

// Compresses into `out` (resized). False, with `out` unspecified, where the gain would be under
// 6 % or the codec is kRaw: then the chunk is stored raw.
bool Compress(Codec codec, int zstd_level, Bytes data, Buffer& out);

// Decodes `stored` into `out`, whose size is the raw length.
Status Decompress(Codec codec, Bytes stored, MutableBytes out);

}  // namespace dedupfs
