// Recipe pages: their bytes, the entries in them, and a commit that replaces one page of a file.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/files.h"
#include "fs/content/recipe_page.h"
#include "tools/bench/scratch.h"

namespace dedupfs {
namespace {

constexpr uint64_t kPage = 3;
constexpr uint32_t kChunkBytes = 32 << 10;

// What a new file has: chunks of about the average size with consecutive ids; or, `scattered`, what
// a file of known chunks has.
RecipeEntries FullPage(bool scattered) {
  std::mt19937_64 random(1);
  RecipeEntries entries;
  ChunkId id = 1'000'000;
  for (uint64_t at = kPage * kRecipePageSpan; at < (kPage + 1) * kRecipePageSpan;) {
    const uint32_t length = kChunkBytes / 2 + static_cast<uint32_t>(random() % kChunkBytes);
    id = scattered ? 1 + random() % 10'000'000 : id + 1;
    entries.push_back({at, length, id});
    at += length;
  }
  return entries;
}

void CountEntries(benchmark::State& state, size_t each) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(each));
}

void EncodePage(benchmark::State& state, bool scattered) {
  const RecipeEntries entries = FullPage(scattered);
  for (auto _ : state) benchmark::DoNotOptimize(EncodeRecipePage(kPage, entries));
  CountEntries(state, entries.size());
}
BENCHMARK_CAPTURE(EncodePage, new_chunks, false);
BENCHMARK_CAPTURE(EncodePage, known_chunks, true);

void ParsePage(benchmark::State& state, bool scattered) {
  const RecipeEntries entries = FullPage(scattered);
  const std::string value = EncodeRecipePage(kPage, entries);
  for (auto _ : state) benchmark::DoNotOptimize(Must(ParseRecipePage(1, kPage, value)));
  CountEntries(state, entries.size());
  state.counters["page_bytes"] = static_cast<double>(value.size());
}
BENCHMARK_CAPTURE(ParsePage, new_chunks, false);
BENCHMARK_CAPTURE(ParsePage, known_chunks, true);

void FindEntry(benchmark::State& state) {
  const RecipeEntries entries = FullPage(false);
  std::mt19937_64 random(2);
  for (auto _ : state) {
    const uint64_t offset = kPage * kRecipePageSpan + random() % kRecipePageSpan;
    benchmark::DoNotOptimize(FirstEndingAfter(entries, offset));
  }
  CountEntries(state, 1);
}
BENCHMARK(FindEntry);

// Files over a store, without a namespace.
class ContentStore {
 public:
  static constexpr Ino kIno = 100;

  ContentStore() {
    Must(PosixEnv().MakeDir(directory_.Join("packs")));
    KvOptions kv_options;
    kv_options.create = true;
    kv_ = Must(Kv::Open(directory_.Join("db"), kv_options));
    ChunkStoreOptions options;
    options.reserve_bytes = 0;
    chunks_ = Must(ChunkStore::Open(PosixEnv(), *kv_, pool_, directory_.Join("packs"), options));
    FilesOptions files_options;
    files_options.commit_interval = std::chrono::hours(1);  // commits only when told to
    files_ = std::make_unique<Files>(
        *kv_, *chunks_, files_options, [](Ino) { return PolicyHints{}; },
        [](Ino ino) { return "inode " + std::to_string(ino); },
        [](Ino, const Caller&) { return false; });
  }

  Files& files() { return *files_; }

 private:
  ScratchDirectory directory_;
  ThreadPool pool_{"bench", 1};
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<ChunkStore> chunks_;
  std::unique_ptr<Files> files_;
};

// Writes `range(0)` new bytes into a file of one full page, and commits. Over 64 KiB a commit
// chunks anew; below it would only log the bytes.
void WriteAndCommit(benchmark::State& state) {
  const auto size = static_cast<size_t>(state.range(0));
  ContentStore store;
  std::mt19937_64 random(3);
  Buffer data(kRecipePageSpan);
  for (std::byte& byte : data) byte = static_cast<std::byte>(random());
  auto file = Must(store.files().Open(ContentStore::kIno, true));
  Must(store.files().Write(*file, 0, data, false));
  Must(store.files().CommitInOrder(ContentStore::kIno));
  for (auto _ : state) {
    for (size_t at = 0; at < size; at += 4096) {
      const uint64_t stamp = random();
      std::memcpy(data.data() + at, &stamp, sizeof stamp);
    }
    const uint64_t offset = size == data.size() ? 0 : random() % (data.size() - size);
    Must(store.files().Write(*file, offset, Bytes(data).first(size), false));
    Must(store.files().CommitInOrder(ContentStore::kIno));
  }
  store.files().Release(std::move(file));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(size));
}
BENCHMARK(WriteAndCommit)->Arg(128 << 10)->Arg(16 << 20)->UseRealTime()->MinTime(0.3);

}  // namespace
}  // namespace dedupfs
