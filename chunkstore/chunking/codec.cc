#include "chunkstore/chunking/codec.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <string>

namespace dedupfs {
namespace {

constexpr size_t kProbeBytes = 4096;
// Over this neither a chunk nor what lz4's int can count.
constexpr size_t kLargestInput = LZ4_MAX_INPUT_SIZE;

// The most that a compressed form may take for a gain of 6 %. Given to the compressors as the room
// that they have, it also makes them stop early.
constexpr size_t MostStored(size_t raw) { return raw / 100 * 94 + raw % 100 * 94 / 100; }

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Null if memory ran out.
ZSTD_CCtx* ThreadCompressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  return context.get();
}
ZSTD_DCtx* ThreadDecompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  return context.get();
}

// 0 if it does not fit. Requires both sizes to be at most kLargestInput.
size_t CompressLz4(Bytes data, MutableBytes out) {
  const int size = LZ4_compress_default(
      reinterpret_cast<const char*>(data.data()), reinterpret_cast<char*>(out.data()),
      static_cast<int>(data.size()), static_cast<int>(out.size()));
  return size > 0 ? static_cast<size_t>(size) : 0;
}

// 0 if it does not fit or cannot be done.
size_t CompressZstd(int level, Bytes data, MutableBytes out) {
  ZSTD_CCtx* const context = ThreadCompressor();
  if (context == nullptr) return 0;
  const size_t size =
      ZSTD_compressCCtx(context, out.data(), out.size(), data.data(), data.size(), level);
  return ZSTD_isError(size) != 0 ? 0 : size;
}

Status DecompressLz4(Bytes stored, MutableBytes out) {
  if (stored.size() > INT_MAX || out.size() > INT_MAX) return Corrupt("lz4 chunk: too large");
  const int size = LZ4_decompress_safe(
      reinterpret_cast<const char*>(stored.data()), reinterpret_cast<char*>(out.data()),
      static_cast<int>(stored.size()), static_cast<int>(out.size()));
  if (size < 0) return Corrupt("lz4 chunk: does not decode");
  if (static_cast<size_t>(size) != out.size()) return Corrupt("lz4 chunk: wrong raw length");
  return Ok();
}

Status DecompressZstd(Bytes stored, MutableBytes out) {
  ZSTD_DCtx* const context = ThreadDecompressor();
  if (context == nullptr) return Fail(ENOMEM, "zstd context");
  const size_t size =
      ZSTD_decompressDCtx(context, out.data(), out.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0) {
    return Corrupt(std::string("zstd chunk: ") + ZSTD_getErrorName(size));
  }
  if (size != out.size()) return Corrupt("zstd chunk: wrong raw length");
  return Ok();
}

}  // namespace

bool ProbeCompressible(Bytes data) {
  const size_t size = std::min(data.size(), kProbeBytes);
  const Bytes sample = data.subspan((data.size() - size) / 2, size);
  std::array<std::byte, MostStored(kProbeBytes)> out;
  return CompressLz4(sample, MutableBytes(out).first(MostStored(size))) != 0;
}

bool Compress(Codec codec, int zstd_level, Bytes data, Buffer& out) {
  if (codec == Codec::kRaw || data.empty() || data.size() > kLargestInput) return false;
  out.resize(MostStored(data.size()));
  const size_t size =
      codec == Codec::kLz4 ? CompressLz4(data, out) : CompressZstd(zstd_level, data, out);
  if (size == 0) return false;
  out.resize(size);
  return true;
}

Status Decompress(Codec codec, Bytes stored, MutableBytes out) {
  switch (codec) {
    case Codec::kRaw:
      if (stored.size() != out.size()) return Corrupt("raw chunk: wrong length");
      if (!out.empty()) std::memcpy(out.data(), stored.data(), out.size());
      return Ok();
    case Codec::kLz4:
      return DecompressLz4(stored, out);
    case Codec::kZstd:
      return DecompressZstd(stored, out);
  }
  return Corrupt("chunk: unknown codec " + std::to_string(static_cast<int>(codec)));
}

}  // namespace dedupfs
