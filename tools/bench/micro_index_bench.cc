// The chunk store as a writer meets it: chunks that are new, chunks that are known, rows looked up,
// counts committed. All on one disk, so a slow disk shows in the rows that store or commit.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/chunking/fingerprint.h"
#include "tools/bench/scratch.h"

namespace dedupfs {
namespace {

constexpr size_t kChunkBytes = 4 << 10;
constexpr size_t kBatch = 256;  // chunks in a call
constexpr size_t kKnownChunks = 16 << 10;

// A store with kKnownChunks chunks, and content for as many more as are asked for.
class IndexStore {
 public:
  IndexStore() : data_(kBatch * kChunkBytes) {
    std::mt19937_64 random(1);
    for (std::byte& byte : data_) byte = static_cast<std::byte>(random());
    Must(PosixEnv().MakeDir(directory_.Join("packs")));
    KvOptions kv_options;
    kv_options.create = true;
    kv_ = Must(Kv::Open(directory_.Join("db"), kv_options));
    ChunkStoreOptions options;
    options.reserve_bytes = 0;
    store_ = Must(ChunkStore::Open(PosixEnv(), *kv_, pool_, directory_.Join("packs"), options));
    for (size_t i = 0; i < kKnownChunks / kBatch; ++i) {
      Pins pins;
      const std::vector<ChunkId> ids = Must(store_->Store(NewContent(), pins));
      Commit(ids);
      ids_.insert(ids_.end(), ids.begin(), ids.end());
      for (size_t chunk = 0; chunk < kBatch; ++chunk) {
        fingerprints_.push_back(FingerprintOf(Chunk(chunk)));
      }
    }
  }

  // Requests for kBatch chunks that the store never met. They live until the next call.
  std::vector<StoreRequest> NewContent() {
    for (size_t i = 0; i < kBatch; ++i) {
      ++stamp_;
      std::memcpy(data_.data() + i * kChunkBytes, &stamp_, sizeof stamp_);
    }
    return Requests();
  }
  // The same as the last time.
  std::vector<StoreRequest> Requests() const {
    std::vector<StoreRequest> requests;
    requests.reserve(kBatch);
    for (size_t i = 0; i < kBatch; ++i) {
      requests.push_back({Chunk(i), i * kChunkBytes, nullptr});
    }
    return requests;
  }
  void Commit(const std::vector<ChunkId>& ids) {
    std::vector<CountChange> changes;
    changes.reserve(ids.size());
    for (const ChunkId id : ids) changes.push_back({id, 1});
    Must(store_->Commit({}, changes, Durability::kBuffered));
  }

  Kv& kv() { return *kv_; }
  ChunkStore& store() { return *store_; }
  const std::vector<ChunkId>& ids() const { return ids_; }
  const std::vector<Fingerprint>& fingerprints() const { return fingerprints_; }

 private:
  Bytes Chunk(size_t i) const { return Bytes(data_).subspan(i * kChunkBytes, kChunkBytes); }

  ScratchDirectory directory_;
  ThreadPool pool_{"bench", 1};
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<ChunkStore> store_;
  Buffer data_;
  uint64_t stamp_ = 0;
  std::vector<ChunkId> ids_;
  std::vector<Fingerprint> fingerprints_;
};

void CountChunks(benchmark::State& state) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(kBatch));
}

void StoreNew(benchmark::State& state) {
  IndexStore index;
  for (auto _ : state) {
    Pins pins;
    benchmark::DoNotOptimize(Must(index.store().Store(index.NewContent(), pins)));
  }
  CountChunks(state);
}
BENCHMARK(StoreNew)->UseRealTime()->MinTime(0.3);

void StoreKnown(benchmark::State& state) {
  IndexStore index;
  for (auto _ : state) {
    Pins pins;
    benchmark::DoNotOptimize(Must(index.store().Store(index.Requests(), pins)));
  }
  CountChunks(state);
}
BENCHMARK(StoreKnown)->UseRealTime();

void StoreAndCommitNew(benchmark::State& state) {
  IndexStore index;
  for (auto _ : state) {
    Pins pins;
    index.Commit(Must(index.store().Store(index.NewContent(), pins)));
  }
  CountChunks(state);
}
BENCHMARK(StoreAndCommitNew)->UseRealTime()->MinTime(0.3);

// Random rows, `from` index to `to` list.
template <typename T>
std::vector<T> PickSome(const std::vector<T>& from, std::mt19937_64& random) {
  std::vector<T> some;
  some.reserve(kBatch);
  for (size_t i = 0; i < kBatch; ++i) some.push_back(from[random() % from.size()]);
  return some;
}

void LookUpChunks(benchmark::State& state) {
  IndexStore index;
  std::mt19937_64 random(2);
  for (auto _ : state) {
    const std::vector<ChunkId> ids = PickSome(index.ids(), random);
    benchmark::DoNotOptimize(Must(index.store().Lookup(ids)));
  }
  CountChunks(state);
}
BENCHMARK(LookUpChunks);

void LookUpFingerprints(benchmark::State& state) {
  IndexStore index;
  std::mt19937_64 random(2);
  for (auto _ : state) {
    const std::vector<Fingerprint> some = PickSome(index.fingerprints(), random);
    benchmark::DoNotOptimize(Must(LoadFingerprints(index.kv(), some)));
  }
  CountChunks(state);
}
BENCHMARK(LookUpFingerprints);

void LookUpUnknownFingerprints(benchmark::State& state) {
  IndexStore index;
  std::mt19937_64 random(3);
  std::vector<Fingerprint> unknown(kBatch);
  for (auto _ : state) {
    for (Fingerprint& fingerprint : unknown) {
      const uint64_t word = random();
      std::memcpy(fingerprint.bytes.data(), &word, sizeof word);
    }
    benchmark::DoNotOptimize(Must(LoadFingerprints(index.kv(), unknown)));
  }
  CountChunks(state);
}
BENCHMARK(LookUpUnknownFingerprints);

void CommitCounts(benchmark::State& state) {
  IndexStore index;
  const std::vector<ChunkId> ids(index.ids().begin(), index.ids().begin() + kBatch);
  Pins pins;
  Must(index.store().Pin(ids, pins));
  for (auto _ : state) index.Commit(ids);
  CountChunks(state);
}
BENCHMARK(CommitCounts)->UseRealTime();

}  // namespace
}  // namespace dedupfs
