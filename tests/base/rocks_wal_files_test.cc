#include "chunkstore/base/rocks_wal_files.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/kv.h"
#include "tests/support/log_record.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

constexpr uint64_t kZerosAhead = uint64_t{1} << 20;
constexpr uint64_t kPage = 4096;

class WalFilesTest : public testing::Test {
 protected:
  std::unique_ptr<rocksdb::FSWritableFile> Make(const std::string& name) {
    std::unique_ptr<rocksdb::FSWritableFile> file;
    const rocksdb::IOStatus made =
        system_->NewWritableFile(directory_.Join(name), {}, &file, nullptr);
    EXPECT_TRUE(made.ok()) << made.ToString();
    return file;
  }
  static void Append(rocksdb::FSWritableFile& file, const std::string& data) {
    EXPECT_TRUE(file.Append(data, {}, nullptr).ok());
  }
  static void AppendSynced(rocksdb::FSWritableFile& file, const std::string& data) {
    Append(file, data);
    EXPECT_TRUE(file.Sync({}, nullptr).ok());
  }
  uint64_t SizeOnDisk(const std::string& name) { return files::file_size(directory_.Join(name)); }

  // What RocksDB sees of the file, if it is the first that it opens.
  std::string Shown(const std::string& name) {
    const auto system = NewWalFiles(rocksdb::FileSystem::Default(), directory_.path()).files;
    std::unique_ptr<rocksdb::FSSequentialFile> file;
    EXPECT_TRUE(system->NewSequentialFile(directory_.Join(name), {}, &file, nullptr).ok());
    std::string all;
    std::string scratch(10000, '\0');
    rocksdb::Slice piece;
    do {
      EXPECT_TRUE(file->Read(scratch.size(), {}, &piece, scratch.data(), nullptr).ok());
      all.append(piece.data(), piece.size());
    } while (piece.size() > 0);
    return all;
  }

  TempDir directory_;
  const std::shared_ptr<rocksdb::FileSystem> system_ =
      NewWalFiles(rocksdb::FileSystem::Default(), directory_.path()).files;
};

TEST_F(WalFilesTest, SmallSyncsFindTheSizeUnchangedAndTheCloseTakesTheZerosAway) {
  const auto log = Make("000001.log");
  AppendSynced(*log, std::string(1000, 'a'));
  AppendSynced(*log, std::string(1000, 'b'));
  const uint64_t size = SizeOnDisk("000001.log");
  EXPECT_EQ(size, 2000 + kZerosAhead);
  for (int i = 0; i < 20; ++i) AppendSynced(*log, std::string(1000, 'c'));
  EXPECT_EQ(SizeOnDisk("000001.log"), size);
  EXPECT_EQ(log->GetFileSize({}, nullptr), 22000u);
  EXPECT_TRUE(log->Close({}, nullptr).ok());
  EXPECT_EQ(SizeOnDisk("000001.log"), 22000u);
}

TEST_F(WalFilesTest, ALogThatIsRemovedBeforeItsCloseStaysAway) {
  const auto log = Make("000001.log");
  for (int i = 0; i < 3; ++i) AppendSynced(*log, "abc");
  files::remove(directory_.Join("000001.log"));
  EXPECT_TRUE(log->Close({}, nullptr).ok());
  EXPECT_FALSE(files::exists(directory_.Join("000001.log")));
}

TEST_F(WalFilesTest, ZerosGoOnWhereTheyEnd) {
  const auto log = Make("000001.log");
  std::string all;
  Random random(TestSeed());
  for (uint64_t i = 0; i < 300; ++i) {
    all += random.Bytes(random.Between(1, 15000));
    AppendSynced(*log, all.substr(log->GetFileSize({}, nullptr)));
    ASSERT_GE(SizeOnDisk("000001.log"), all.size());
  }
  EXPECT_GT(SizeOnDisk("000001.log"), all.size());
  EXPECT_GT(all.size(), kZerosAhead) << "the end of the first zeros was passed";
  EXPECT_TRUE(log->Close({}, nullptr).ok());
  std::ifstream file(directory_.Join("000001.log"), std::ios::binary);
  EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(file), {}) == all);
}

TEST_F(WalFilesTest, NothingIsAddedWhereSyncsAreRareOrTheFileIsNoLog) {
  const auto log = Make("000001.log");
  Append(*log, std::string(3000, 'a'));
  Append(*log, std::string(3000, 'a'));
  EXPECT_EQ(SizeOnDisk("000001.log"), 6000u);
  for (int i = 0; i < 4; ++i) AppendSynced(*log, std::string(200000, 'a'));
  EXPECT_EQ(SizeOnDisk("000001.log"), 806000u);
  const auto table = Make("000002.sst");
  for (int i = 0; i < 4; ++i) AppendSynced(*table, std::string(100, 'a'));
  EXPECT_EQ(SizeOnDisk("000002.sst"), 400u);
}

std::string Record(size_t length, uint8_t type) {
  return LogRecord(std::string(length, 'r'), type);
}

TEST_F(WalFilesTest, ALogIsShownUpToTheFirstHeaderOfZeros) {
  // The second record ends 3 bytes before the end of the block, which no header fits in.
  const std::string block = Record(20000, 1) + Record(32768 - 20007 - 7 - 3, 1) + std::string(3, 0);
  ASSERT_EQ(block.size(), 32768u);
  const std::string senseless = block + "sum.\xff\xff\x01" + std::string(3000, 'r');
  const std::string wanted = block + Record(0, 1) + Record(500, 2);
  const struct {
    std::string name, content, shown;
  } cases[] = {
      {"empty.log", "", ""},
      {"whole.log", wanted, wanted},
      {"zeros.log", wanted + std::string(100000, 0), wanted},
      {"few_zeros.log", wanted + std::string(6, 0), wanted + std::string(6, 0)},
      {"all_zeros.log", std::string(50000, 0), ""},
      {"behind.log", wanted + std::string(65536 - wanted.size(), 0) + block, wanted},
      {"senseless.log", senseless, senseless},
      {"no_log.sst", std::string(100, 0), std::string(100, 0)},
  };
  for (const auto& one : cases) {
    std::ofstream(directory_.Join(one.name), std::ios::binary) << one.content;
    EXPECT_TRUE(Shown(one.name) == one.shown) << one.name << ": " << Shown(one.name).size();
  }
}

std::string Content(const files::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A power cut keeps the old or the new content of each page that was not synced. Here a batch ends
// where a block of the log ends, so that nothing at the start of the next one misses its beginning.
TEST_F(WalFilesTest, NoMixtureOfOldAndNewPagesLetsABatchSurviveWithoutThoseBeforeIt) {
  constexpr uint64_t kBlock = 32768;
  constexpr uint64_t kSynced = 20;
  const std::string path = directory_.Join("db");
  auto kv = Kv::Open(path, {.create = true});
  ASSERT_TRUE(kv) << kv.error().message;
  uint64_t batches = 0;
  const auto write = [&](size_t size, Durability durability) {
    Batch batch;
    batch.Put(Family::kRecipe, BigU64(++batches), std::string(size, 'x'));
    ASSERT_TRUE((*kv)->Write(batch, durability));
  };
  const auto log = [&](const std::string& of) {
    for (const auto& file : files::directory_iterator(of)) {
      if (file.path().extension() == ".log" && file.file_size() > kZerosAhead) return file.path();
    }
    ADD_FAILURE() << "no log with zeros in " << of;
    return files::path();
  };
  const auto used = [&] { return Content(log(path)).find_last_not_of('\0') + 1; };
  for (uint64_t i = 1; i < kSynced; ++i) write(1000, Durability::kSynced);
  const uint64_t last_but_one = used();
  write(1000, Durability::kSynced);
  const uint64_t synced = used();
  const std::string before = directory_.Join("before");
  files::copy(path, before);
  const uint64_t overhead = synced - last_but_one - 1000;
  write(kBlock - synced - overhead, Durability::kBuffered);
  ASSERT_TRUE((*kv)->FlushLog());
  ASSERT_EQ(used(), kBlock);
  for (int i = 0; i < 60; ++i) write(1000, Durability::kBuffered);
  ASSERT_TRUE((*kv)->FlushLog());

  const std::string old_log = Content(log(before));
  const std::string new_log = Content(log(path));
  ASSERT_EQ(old_log.size(), new_log.size());
  Random random(TestSeed());
  for (int round = 0; round < 10; ++round) {
    std::string mixed = new_log;
    for (uint64_t page = 0; page < mixed.size(); page += kPage) {
      // In the first round all is new but the page where the synced part ends.
      const bool old = round == 0 ? page / kPage == synced / kPage : random.OneIn(8);
      if (old) mixed.replace(page, kPage, old_log, page, kPage);
    }
    const std::string copy = directory_.Join("copy" + std::to_string(round));
    files::copy(before, copy);
    std::ofstream(log(copy), std::ios::binary) << mixed;
    const auto cut = Kv::Open(copy, {});
    ASSERT_TRUE(cut) << cut.error().message;
    uint64_t count = 0;
    for (auto rows = (*cut)->Iterate(Family::kRecipe, "", ""); rows->Valid(); rows->Next()) {
      ASSERT_EQ(ParseBigU64(rows->key()), ++count) << "a gap in round " << round;
    }
    EXPECT_GE(count, kSynced);
    if (round == 0) {
      EXPECT_EQ(count, kSynced);
    }
  }
}

}  // namespace
}  // namespace dedupfs
