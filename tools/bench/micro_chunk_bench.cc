// Speed of one core in each step of a unique write: cut, fingerprint, checksum, probe, compress.

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>

#include "chunkstore/base/bytes.h"
#include "chunkstore/chunking/chunker.h"
#include "chunkstore/chunking/chunker_kernels.h"
#include "chunkstore/chunking/codec.h"
#include "chunkstore/chunking/fingerprint.h"

namespace dedupfs {
namespace {

constexpr size_t kDataBytes = 16 << 20;
constexpr size_t kChunkBytes = 32 << 10;

// `mask` thins the bits: 0xFF gives noise, 0x07 what compresses to about a half.
Buffer Data(size_t size, uint8_t mask) {
  std::mt19937_64 random(1);
  Buffer data(size);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random() & mask);
  return data;
}

void CountBytes(benchmark::State& state, size_t each) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(each));
}

void Cut(benchmark::State& state, size_t (*find_cut)(const uint8_t*, size_t, size_t),
         bool (*runs_here)()) {
  if (!runs_here()) {
    state.SkipWithError("the processor lacks it");
    return;
  }
  const Buffer data = Data(kDataBytes, 0xFF);
  const ChunkPolicy policy{ChunkingKind::kContentDefined, static_cast<uint32_t>(state.range(0))};
  for (auto _ : state) {
    size_t at = 0;
    while (at + policy.max() <= data.size()) {
      at += find_cut(AsU8(Bytes(data)) + at, policy.min(), policy.max());
    }
    benchmark::DoNotOptimize(at);
  }
  CountBytes(state, data.size());
}
BENCHMARK_CAPTURE(Cut, scalar, FindCutScalar, [] { return true; })->Arg(32 << 10);
BENCHMARK_CAPTURE(Cut, avx2, FindCutAvx2, CpuHasAvx2)->Arg(32 << 10);
BENCHMARK_CAPTURE(Cut, avx512, FindCutAvx512, CpuHasAvx512)->Arg(16 << 10)->Arg(32 << 10);

void FingerprintSingle(benchmark::State& state) {
  const Buffer data = Data(static_cast<size_t>(state.range(0)), 0xFF);
  for (auto _ : state) benchmark::DoNotOptimize(FingerprintOf(data));
  CountBytes(state, data.size());
}
BENCHMARK(FingerprintSingle)->Arg(64)->Arg(kChunkBytes);

void FingerprintTwo(benchmark::State& state) {
  const Buffer data = Data(static_cast<size_t>(state.range(0)), 0xFF);
  Fingerprint first;
  Fingerprint second;
  for (auto _ : state) {
    FingerprintPair(data, data, first, second);
    benchmark::DoNotOptimize(first);
    benchmark::DoNotOptimize(second);
  }
  CountBytes(state, 2 * data.size());
}
BENCHMARK(FingerprintTwo)->Arg(64)->Arg(kChunkBytes);

void ChecksumChunk(benchmark::State& state) {
  const Buffer data = Data(kChunkBytes, 0xFF);
  const std::array<Bytes, 2> pieces{Bytes(data).first(64), Bytes(data).subspan(64)};
  for (auto _ : state) benchmark::DoNotOptimize(Checksum(pieces));
  CountBytes(state, data.size());
}
BENCHMARK(ChecksumChunk);

void Probe(benchmark::State& state) {
  const Buffer data = Data(kChunkBytes, static_cast<uint8_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(ProbeCompressible(data));
}
BENCHMARK(Probe)->Arg(0xFF)->Arg(0x07);

void CompressChunk(benchmark::State& state, Codec codec) {
  const Buffer data = Data(kChunkBytes, 0x07);
  Buffer out;
  for (auto _ : state) {
    benchmark::DoNotOptimize(Compress(codec, static_cast<int>(state.range(0)), data, out));
  }
  CountBytes(state, data.size());
}
BENCHMARK_CAPTURE(CompressChunk, lz4, Codec::kLz4)->Arg(0);
BENCHMARK_CAPTURE(CompressChunk, zstd, Codec::kZstd)->Arg(1)->Arg(6);

void DecompressChunk(benchmark::State& state, Codec codec) {
  const Buffer data = Data(kChunkBytes, 0x07);
  Buffer stored;
  Buffer out(data.size());
  if (!Compress(codec, 1, data, stored)) state.SkipWithError("does not compress");
  for (auto _ : state) benchmark::DoNotOptimize(Decompress(codec, stored, out));
  CountBytes(state, data.size());
}
BENCHMARK_CAPTURE(DecompressChunk, lz4, Codec::kLz4);
BENCHMARK_CAPTURE(DecompressChunk, zstd, Codec::kZstd);

}  // namespace
}  // namespace dedupfs
