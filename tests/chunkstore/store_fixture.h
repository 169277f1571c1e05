// A chunk store over a disk in memory and a real database, that can be reopened and crashed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/chunk_table.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {

inline const char* const kPackDirectory = "/packs";

inline std::string PackPath(PackId pack) {
  return std::string(kPackDirectory) + "/" + PackFileName(pack);
}

// Names and sizes of the files of a database, but for its own log lines.
inline std::map<std::string, uint64_t> DatabaseFiles(const std::string& directory) {
  std::map<std::string, uint64_t> files;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = file.path().filename();
    std::error_code gone;
    if (!name.starts_with("LOG")) files[name] = file.file_size(gone);
  }
  return files;
}

// What the disk holds of a database that is in use, as a crash would leave it. RocksDB may compact
// meanwhile, so the copy is made anew until nothing has changed beside it.
inline void CopyDatabase(const std::string& from, const std::string& to) {
  std::error_code error;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    std::filesystem::remove_all(to);
    const auto before = DatabaseFiles(from);
    std::filesystem::copy(from, to, std::filesystem::copy_options::recursive, error);
    if (!error && DatabaseFiles(from) == before && DatabaseFiles(to) == before) return;
  }
  FAIL() << "cannot copy the database: " << error.message();
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    EXPECT_TRUE(env_.MakeDir(kPackDirectory));
    EXPECT_TRUE(env_.SyncDir("/"));
    options_.chunk_cache_bytes = 0;
    options_.reserve_bytes = 0;
    options_.recompress = false;  // only when a test asks for it
    OpenKv(true);
    OpenStore();
  }

  // The env that the store gets; a test may put another one before the disk.
  virtual Env& store_env() { return env_; }

  void OpenKv(bool create) {
    KvOptions options;
    options.create = create;
    options.memtable_bytes = 8u << 20;
    auto kv = Kv::Open(directory_.Join("db" + std::to_string(generation_)), options);
    ASSERT_TRUE(kv) << kv.error().message;
    kv_ = std::move(*kv);
  }

  void OpenStore() {
    auto store = ChunkStore::Open(store_env(), *kv_, pool_, kPackDirectory, options_);
    ASSERT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }

  // An orderly end and a new start of the process; the pack is sealed.
  void Reopen() {
    store_.reset();
    OpenStore();
  }

  // A power cut: what was not synced is lost, on the disk and in the database.
  void PowerCut(Random* torn = nullptr) {
    env_.PowerCut(torn);
    // The disk stays off: else the threads of the old store would remove a file whose end the copy
    // of the database has missed.
    FaultEnv::Fault off;
    off.sticky = true;
    env_.Inject(off);
    const std::string from = directory_.Join("db" + std::to_string(generation_));
    const std::string to = directory_.Join("db" + std::to_string(++generation_));
    CopyDatabase(from, to);
    store_.reset();
    env_.ClearFaults();
    kv_.reset();
    std::filesystem::remove_all(from);
    OpenKv(false);
    OpenStore();
  }

  Result<std::vector<ChunkId>> StoreAll(const std::vector<std::string>& contents, Pins& pins) {
    std::vector<StoreRequest> requests;
    requests.reserve(contents.size());
    uint64_t offset = 0;
    for (const std::string& content : contents) {
      requests.push_back({AsBytes(content), offset, nullptr});
      offset += content.size();
    }
    return store_->Store(requests, pins);
  }

  Status Count(const std::vector<ChunkId>& ids, int64_t delta,
               Durability durability = Durability::kSynced) {
    std::vector<CountChange> changes;
    changes.reserve(ids.size());
    for (ChunkId id : ids) changes.push_back({id, delta});
    return store_->Commit(Batch(), changes, durability);
  }

  // Stores and counts; the pins are gone afterwards.
  std::vector<ChunkId> Add(const std::vector<std::string>& contents,
                           Durability durability = Durability::kSynced) {
    Pins pins;
    const auto ids = StoreAll(contents, pins);
    EXPECT_TRUE(ids) << ids.error().message;
    if (!ids) return {};
    const Status counted = Count(*ids, 1, durability);
    EXPECT_TRUE(counted) << counted.error().message;
    return *ids;
  }

  Result<std::string> ReadBack(ChunkId id, size_t size) {
    std::string out(size, '\0');
    DEDUPFS_RETURN_IF_ERROR(
        store_->Read(id, 0, {reinterpret_cast<std::byte*>(out.data()), out.size()}));
    return out;
  }

  void ExpectContent(ChunkId id, const std::string& content) {
    const auto read = ReadBack(id, content.size());
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE(*read == content) << "chunk " << id;
  }

  ChunkInfo Info(ChunkId id) {
    const auto infos = store_->Lookup({&id, 1});
    EXPECT_TRUE(infos && (*infos)[0]) << "chunk " << id;
    return infos && (*infos)[0] ? *(*infos)[0] : ChunkInfo{};
  }

  // What a check reports, as "ID: problem". `counts` null: counts are not compared.
  std::vector<std::string> Problems(
      const std::vector<std::pair<ChunkId, uint64_t>>* counts = nullptr) {
    std::vector<std::string> problems;
    ChunkStore::CheckHooks hooks;
    size_t next = 0;
    if (counts != nullptr) {
      hooks.next_count = [&]() -> Result<std::optional<std::pair<ChunkId, uint64_t>>> {
        if (next == counts->size()) return std::nullopt;
        return std::optional((*counts)[next++]);
      };
    }
    hooks.report = [&](ChunkId id, const std::string& problem) {
      problems.push_back(std::to_string(id) + ": " + problem);
    };
    const Status checked = store_->Check(hooks);
    EXPECT_TRUE(checked) << checked.error().message;
    return problems;
  }

  bool PackFileExists(PackId pack) {
    const auto names = env_.List(kPackDirectory);
    EXPECT_TRUE(names);
    if (!names) return false;
    return std::find(names->begin(), names->end(), PackFileName(pack)) != names->end();
  }

  FaultEnv env_;
  TempDir directory_;
  int generation_ = 0;
  ThreadPool pool_{"test", 2};
  ChunkStoreOptions options_;
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<ChunkStore> store_;
};

}  // namespace dedupfs
