#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/chunking/chunker.h"
#include "chunkstore/chunking/chunker_kernels.h"
#include "chunkstore/chunking/fingerprint.h"
#include "tools/bench/guard_parts.h"
#include "tools/bench/scratch.h"

namespace dedupfs {
namespace {

constexpr size_t kMiB = 1 << 20;
constexpr size_t kChunkBytes = 32 << 10;
constexpr size_t kKnownChunks = 32 << 10;
constexpr size_t kBatch = 512;  // chunks of 32 KiB in a slice of 16 MiB

Buffer Noise(size_t size) {
  std::mt19937_64 random(1);
  Buffer data(size);
  for (size_t at = 0; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(data.data() + at, &word, sizeof word);
  }
  return data;
}

// The content of chunk `number` of the prepared index: short, since only rows are looked up.
std::string KnownContent(size_t number) { return "chunk " + std::to_string(number); }

// As far as the optimiser knows, somebody reads what is given here.
template <typename T>
void Keep(const T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

}  // namespace

bool CountChunker(uint64_t count) {
  if (!CpuHasAvx2()) return false;
  const ChunkPolicy policy;
  const Buffer data = Noise(kMiB + policy.max());
  for (uint64_t i = 0; i < count; ++i) {
    size_t at = 0;
    while (at < kMiB) at += FindCutAvx2(AsU8(Bytes(data)) + at, policy.min(), policy.max());
    Keep(at);
  }
  return true;
}

void CountFingerprint(uint64_t count) {
  const Buffer data = Noise(2 * kChunkBytes);
  const Bytes first = Bytes(data).first(kChunkBytes);
  const Bytes second = Bytes(data).last(kChunkBytes);
  for (uint64_t i = 0; i < count * (kMiB / data.size()); ++i) {
    Fingerprint first_out;
    Fingerprint second_out;
    FingerprintPair(first, second, first_out, second_out);
    Keep(first_out);
    Keep(second_out);
  }
}

void PrepareLookup(const std::string& directory) {
  Must(PosixEnv().MakeDir(directory + "/packs"));
  KvOptions kv_options;
  kv_options.create = true;
  const auto kv = Must(Kv::Open(directory + "/db", kv_options));
  {
    ThreadPool pool("guard", 1);
    ChunkStoreOptions options;
    options.reserve_bytes = 0;
    const auto store = Must(ChunkStore::Open(PosixEnv(), *kv, pool, directory + "/packs", options));
    std::vector<std::string> contents;
    std::vector<StoreRequest> requests;
    contents.reserve(kKnownChunks);
    requests.reserve(kKnownChunks);
    for (size_t i = 0; i < kKnownChunks; ++i) contents.push_back(KnownContent(i));
    for (const std::string& content : contents) requests.push_back({AsBytes(content), 0, nullptr});
    Pins pins;
    const auto ids = Must(store->Store(requests, pins));
    std::vector<CountChange> changes;
    changes.reserve(ids.size());
    for (const ChunkId id : ids) changes.push_back({id, 1});
    Must(store->Commit({}, changes, Durability::kSynced));
  }
  Must(kv->CompactAll());
}

void CountLookup(const std::string& directory, uint64_t count) {
  const auto kv = Must(Kv::Open(directory + "/db", {}));
  std::vector<Fingerprint> known;
  known.reserve(kKnownChunks);
  for (size_t i = 0; i < kKnownChunks; ++i)
    known.push_back(FingerprintOf(AsBytes(KnownContent(i))));
  // In the order in which they were stored, as a backup that is written again asks for them: rows
  // lie side by side, fingerprints all over the index.
  const auto look_up = [&](std::span<const Fingerprint> batch) {
    std::vector<ChunkId> ids;
    ids.reserve(batch.size());
    for (const auto& loaded : Must(LoadFingerprints(*kv, batch))) ids.push_back(loaded.row.value());
    const auto rows = Must(LoadChunkRows(*kv, ids));
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!(rows[i].row.value().fingerprint == batch[i])) EndBadly("another chunk's row");
    }
  };
  for (size_t at = 0; at < known.size(); at += kBatch)
    look_up(std::span(known).subspan(at, kBatch));
  size_t at = 0;
  for (uint64_t left = count; left > 0;) {
    const size_t size = std::min<uint64_t>({left, kBatch, known.size() - at});
    look_up(std::span(known).subspan(at, size));
    at = (at + size) % known.size();
    left -= size;
  }
}

}  // namespace dedupfs
