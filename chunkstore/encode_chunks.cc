#include "chunkstore/encode_chunks.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace dedupfs {
namespace {

// A file may turn compressible again: a raw one is asked once in so many chunks.
constexpr uint32_t kProbeAgainAfter = 64;
// So many chunks that lz4 could not shrink, one after another, make a file raw.
constexpr uint32_t kRawAfterFailures = 8;

enum class Plan : uint8_t { kProbe, kCompress, kRaw };

Plan PlanFor(const EncodedChunk& chunk) {
  CodecHint* const hint = chunk.hint;
  if (hint == nullptr) return Plan::kProbe;
  if (hint->verdict == CodecHint::Verdict::kRaw) {
    if (++hint->raw_in_a_row < kProbeAgainAfter) return Plan::kRaw;
    hint->raw_in_a_row = 0;
    hint->verdict = CodecHint::Verdict::kUnknown;
  }
  if (hint->verdict == CodecHint::Verdict::kUnknown) {
    const bool compressible = ProbeCompressible(chunk.data);
    hint->verdict = compressible ? CodecHint::Verdict::kCompress : CodecHint::Verdict::kRaw;
    hint->raw_in_a_row = 0;
  }
  return hint->verdict == CodecHint::Verdict::kCompress ? Plan::kCompress : Plan::kRaw;
}

void Encode(Plan plan, EncodedChunk& chunk) {
  const bool try_it =
      plan == Plan::kCompress || (plan == Plan::kProbe && ProbeCompressible(chunk.data));
  if (try_it && Compress(Codec::kLz4, 0, chunk.data, chunk.compressed)) {
    chunk.codec = Codec::kLz4;
    chunk.stored = chunk.compressed;
  } else {
    chunk.codec = Codec::kRaw;
    chunk.stored = chunk.data;
  }
}

void Learn(Plan plan, const EncodedChunk& chunk) {
  CodecHint* const hint = chunk.hint;
  if (hint == nullptr || plan != Plan::kCompress) return;
  if (hint->verdict != CodecHint::Verdict::kCompress) return;
  if (chunk.codec != Codec::kRaw) {
    hint->raw_in_a_row = 0;
  } else if (++hint->raw_in_a_row >= kRawAfterFailures) {
    hint->verdict = CodecHint::Verdict::kRaw;
    hint->raw_in_a_row = 0;
  }
}

}  // namespace

void EncodeChunks(ThreadPool& pool, std::span<EncodedChunk> chunks) {
  std::vector<Plan> plans;
  plans.reserve(chunks.size());
  for (const EncodedChunk& chunk : chunks) plans.push_back(PlanFor(chunk));
  pool.ParallelFor(chunks.size(), [&](size_t i) { Encode(plans[i], chunks[i]); });
  for (size_t i = 0; i < chunks.size(); ++i) Learn(plans[i], chunks[i]);
}

void EncodeCold(EncodedChunk& chunk, bool was_raw, int zstd_level) {
  const bool worth_it = !was_raw || Compress(Codec::kZstd, 1, chunk.data, chunk.compressed);
  const bool gained = worth_it && Compress(Codec::kZstd, zstd_level, chunk.data, chunk.compressed);
  chunk.codec = gained ? Codec::kZstd : Codec::kRaw;
  chunk.stored = gained ? Bytes(chunk.compressed) : chunk.data;
}

}  // namespace dedupfs
