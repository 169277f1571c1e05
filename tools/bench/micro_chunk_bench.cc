// Speed of one core in each step of a unique write: cut, fingerprint, checksum, probe, compress.

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

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

// Words of a small vocabulary, the frequent ones often: compresses as text does, unlike thinned
// noise, in which there is nothing to match.
Buffer Text(size_t size) {
  std::mt19937_64 random(2);
  std::vector<std::string> words(2000);
  for (std::string& word : words) {
    const size_t length = 2 + random() % 8;
    for (size_t i = 0; i < length; ++i) word.push_back(static_cast<char>('a' + random() % 26));
  }
  std::string text;
  while (text.size() < size) {
    const size_t rank = random() % words.size() * (random() % words.size()) / words.size();
    text += words[rank];
    text += random() % 12 == 0 ? '\n' : ' ';
  }
  const Bytes bytes = AsBytes(text);
  return {bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)};
}

void CompressChunk(benchmark::State& state, Codec codec, Buffer (*make)(size_t)) {
  const Buffer data = make(kChunkBytes);
  const auto level = static_cast<int>(state.range(0));
  Buffer out;
  bool compresses = false;
  for (auto _ : state) benchmark::DoNotOptimize(compresses = Compress(codec, level, data, out));
  CountBytes(state, data.size());
  const size_t stored = compresses ? out.size() : data.size();
  state.counters["ratio"] = static_cast<double>(data.size()) / static_cast<double>(stored);
}
Buffer Noise(size_t size) { return Data(size, 0xFF); }
BENCHMARK_CAPTURE(CompressChunk, lz4_text, Codec::kLz4, Text)->Arg(0);
BENCHMARK_CAPTURE(CompressChunk, lz4_noise, Codec::kLz4, Noise)->Arg(0);
BENCHMARK_CAPTURE(CompressChunk, zstd_text, Codec::kZstd, Text)->Arg(1)->Arg(6)->Arg(12);
BENCHMARK_CAPTURE(CompressChunk, zstd_noise, Codec::kZstd, Noise)->Arg(1)->Arg(6)->Arg(12);

// Noise is stored raw, and so copied.
void DecompressChunk(benchmark::State& state, Codec codec, Buffer (*make)(size_t)) {
  const Buffer data = make(kChunkBytes);
  Buffer stored;
  Buffer out(data.size());
  if (!Compress(codec, static_cast<int>(state.range(0)), data, stored)) {
    codec = Codec::kRaw;
    stored = data;
  }
  for (auto _ : state) {
    const Status decoded = Decompress(codec, stored, out);
    if (!decoded) state.SkipWithError(decoded.error().message.c_str());
  }
  CountBytes(state, data.size());
}
BENCHMARK_CAPTURE(DecompressChunk, lz4_text, Codec::kLz4, Text)->Arg(0);
BENCHMARK_CAPTURE(DecompressChunk, zstd_text, Codec::kZstd, Text)->Arg(1)->Arg(6)->Arg(12);
BENCHMARK_CAPTURE(DecompressChunk, raw_noise, Codec::kLz4, Noise)->Arg(0);

}  // namespace
}  // namespace dedupfs
