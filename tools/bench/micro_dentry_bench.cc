// Names: looked up, created, unlinked and listed, in one directory of 1,000 entries.

#include <benchmark/benchmark.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "chunkstore/base/kv.h"
#include "fs/namespace/namespace.h"
#include "tools/bench/scratch.h"

namespace dedupfs {
namespace {

constexpr size_t kEntries = 1000;

class NameStore {
 public:
  static constexpr SipKey kKey = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

  NameStore() {
    KvOptions options;
    options.create = true;
    kv_ = Must(Kv::Open(directory_.Join("db"), options));
    Batch batch;
    Namespace::Format(batch, 0, 0, Now());
    Must(kv_->Write(batch, Durability::kBuffered));
    names_ = Must(Namespace::Open(*kv_, kKey, false));
    folder_ = Must(names_->Create(kRootIno, "folder", S_IFDIR | 0755, 0, "", {})).ino;
  }

  // kEntries files with names that no batch before had.
  void CreateBatch() {
    batch_ = last_batch_++;
    for (size_t i = 0; i < kEntries; ++i) {
      Must(names_->Create(folder_, Name(i), S_IFREG | 0644, 0, "", {}));
    }
  }
  std::vector<Ino> UnlinkBatch() {
    std::vector<Ino> gone;
    gone.reserve(kEntries);
    for (size_t i = 0; i < kEntries; ++i)
      gone.push_back(Must(names_->Unlink(folder_, Name(i))).ino);
    return gone;
  }
  void Erase(const std::vector<Ino>& orphans) {
    Batch batch;
    for (const Ino ino : orphans) Must(names_->EraseOrphan(ino, batch));
    Must(kv_->Write(batch, Durability::kBuffered));
  }

  std::string Name(size_t i) const {
    return "file-" + std::to_string(batch_) + "-" + std::to_string(i) + ".txt";
  }
  Namespace& names() { return *names_; }
  Ino folder() const { return folder_; }

 private:
  ScratchDirectory directory_;
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<Namespace> names_;
  Ino folder_ = 0;
  size_t batch_ = 0;
  size_t last_batch_ = 0;
};

void CountItems(benchmark::State& state, size_t each) {
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * static_cast<int64_t>(each));
}

void LookUpHit(benchmark::State& state) {
  NameStore store;
  store.CreateBatch();
  std::mt19937_64 random(1);
  for (auto _ : state) {
    const std::string name = store.Name(random() % kEntries);
    benchmark::DoNotOptimize(Must(store.names().Lookup(store.folder(), name)));
  }
  CountItems(state, 1);
}
BENCHMARK(LookUpHit);

void LookUpMiss(benchmark::State& state) {
  NameStore store;
  store.CreateBatch();
  std::mt19937_64 random(1);
  for (auto _ : state) {
    const std::string name = store.Name(kEntries + random() % kEntries);
    const auto found = store.names().Lookup(store.folder(), name);
    if (found) state.SkipWithError("a name that was never made is there");
  }
  CountItems(state, 1);
}
BENCHMARK(LookUpMiss);

void CreateFiles(benchmark::State& state) {
  NameStore store;
  for (auto _ : state) {
    store.CreateBatch();
    state.PauseTiming();
    store.Erase(store.UnlinkBatch());
    state.ResumeTiming();
  }
  CountItems(state, kEntries);
}
BENCHMARK(CreateFiles)->Unit(benchmark::kMillisecond);

void UnlinkFiles(benchmark::State& state) {
  NameStore store;
  for (auto _ : state) {
    state.PauseTiming();
    store.CreateBatch();
    state.ResumeTiming();
    const std::vector<Ino> gone = store.UnlinkBatch();
    state.PauseTiming();
    store.Erase(gone);
    state.ResumeTiming();
  }
  CountItems(state, kEntries);
}
BENCHMARK(UnlinkFiles)->Unit(benchmark::kMillisecond);

void ListNames(benchmark::State& state) {
  NameStore store;
  store.CreateBatch();
  for (auto _ : state) {
    size_t entries = 0;
    Must(store.names().List(store.folder(), 0, [&](const DirectoryEntry&) {
      ++entries;
      return true;
    }));
    if (entries != kEntries + 2) state.SkipWithError("entries are missing");
  }
  CountItems(state, kEntries);
}
BENCHMARK(ListNames)->Unit(benchmark::kMicrosecond);

void ListWithAttributes(benchmark::State& state) {
  NameStore store;
  store.CreateBatch();
  for (auto _ : state) {
    size_t entries = 0;
    Must(store.names().ListWithAttributes(store.folder(), 0,
                                          [&](const DirectoryEntry&, const Attributes&) {
                                            ++entries;
                                            return true;
                                          }));
    if (entries != kEntries + 2) state.SkipWithError("entries are missing");
  }
  CountItems(state, kEntries);
}
BENCHMARK(ListWithAttributes)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dedupfs
