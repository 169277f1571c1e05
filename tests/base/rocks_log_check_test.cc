#include "chunkstore/base/rocks_log_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/base/kv_salvage.h"
#include "tests/support/log_record.h"
#include "tests/support/point_stride.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

constexpr uint64_t kLog = 7;

std::string Content(const files::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

LogReading Read(const std::string& content) {
  const TempDir directory;
  const std::string path = directory.Join("log");
  std::ofstream(path, std::ios::binary) << content;
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  EXPECT_TRUE(rocksdb::FileSystem::Default()->NewSequentialFile(path, {}, &file, nullptr).ok());
  LogReading reading;
  EXPECT_TRUE(ReadLog(*file, kLog, {}, reading, nullptr).ok());
  return reading;
}

TEST(LogCheckTest, AMarkBehindItProvesThatARecordIsDamagedAndNotTorn) {
  const std::string first = LogRecord(std::string(300, 'a'));
  const struct {
    std::string what;
    LogPosition mark;
    bool proven;
  } cases[] = {
      {"all before it was durable", {kLog, first.size()}, true},
      {"a part of it was", {kLog, first.size() - 1}, false},
      {"nothing was", {kLog, 0}, false},
      {"another log was", {kLog - 1, 1 << 20}, false},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.what);
    const std::string second = LogRecord("changes" + LogMark(one.mark));
    const LogReading whole = Read(first + second);
    EXPECT_FALSE(whole.not_whole || whole.damaged);
    EXPECT_EQ(whole.end, first.size() + second.size());
    for (size_t at = 0; at < first.size(); ++at) {
      std::string damaged = first + second;
      damaged[at] = static_cast<char>(damaged[at] ^ 16);
      const LogReading reading = Read(damaged);
      ASSERT_EQ(reading.not_whole, uint64_t{0}) << at;
      ASSERT_EQ(reading.damaged.has_value(), one.proven) << at;
    }
    const LogReading zeros = Read(std::string(first.size(), '\0') + second);
    EXPECT_EQ(zeros.damaged.has_value(), one.proven);
    EXPECT_EQ(zeros.not_whole, uint64_t{0});
    EXPECT_EQ(zeros.end, 0u);
    EXPECT_FALSE(Read(first + std::string(5000, '\0')).not_whole);
  }
}

TEST(LogCheckTest, AMarkThatIsCutInTwoByABlockIsFound) {
  constexpr size_t kBlock = 32768;
  const std::string first = LogRecord("a");
  const std::string mark = LogMark({kLog, first.size()});
  for (size_t cut = 0; cut <= mark.size(); ++cut) {
    const std::string begin(kBlock - first.size() - 7 - cut, 'b');
    std::string log = first + LogRecord(begin + mark.substr(0, cut), 2);
    ASSERT_EQ(log.size(), kBlock);
    log += LogRecord(mark.substr(cut), 4);
    log[first.size() - 1] = 'x';
    EXPECT_TRUE(Read(log).damaged) << cut;
  }
}

// A database as a killed process leaves it.
class DamagedLogTest : public testing::Test {
 protected:
  DamagedLogTest() {
    const std::string path = directory_.Join("db");
    kv_ = std::move(*Kv::Open(path, {.create = true}));
    for (int i = 0; i < 12; ++i) {
      last_ = Used();
      Batch batch;
      batch.Put(Family::kRecipe, BigU64(i), random_.Bytes(random_.Between(50, 9000)));
      EXPECT_TRUE(kv_->Write(batch, Durability::kSynced));
    }
    files::copy(path, directory_.Join("killed"));
  }

  static files::path LogIn(const std::string& path) {
    files::path log;
    for (const auto& file : files::directory_iterator(path)) {
      if (file.path().extension() == ".log" && file.file_size() > 0) log = file.path();
    }
    return log;
  }
  uint64_t Used() const {
    const files::path log = LogIn(directory_.Join("db"));
    return log.empty() ? 0 : Content(log).find_last_not_of('\0') + 1;
  }
  std::string Copy() const {
    const std::string copy = directory_.Join("copy");
    files::remove_all(copy);
    files::copy(directory_.Join("killed"), copy);
    return copy;
  }

  Random random_{TestSeed()};
  TempDir directory_;
  std::unique_ptr<Kv> kv_;
  uint64_t last_ = 0;  // where the last batch begins
};

TEST_F(DamagedLogTest, AFlipInWhatWasSyncedBeforeTheLastBatchIsRefusedAndASalvageTellsIt) {
  const int rounds = PointStride() > 1 ? 6 : 40;
  for (int round = 0; round < rounds; ++round) {
    const std::string copy = Copy();
    const files::path log = LogIn(copy);
    std::string content = Content(log);
    const uint64_t at = random_.Below(last_);
    content[at] = static_cast<char>(content[at] ^ (1 << random_.Below(8)));
    std::ofstream(log, std::ios::binary) << content;
    SCOPED_TRACE("offset " + std::to_string(at));
    for (const bool read_only : {false, true}) {
      const auto opened = Kv::Open(copy, {.read_only = read_only});
      ASSERT_FALSE(opened);
      EXPECT_EQ(opened.error().code, EIO);
      EXPECT_NE(opened.error().message.find(log.string() + " is damaged at offset"),
                std::string::npos)
          << opened.error().message;
    }
    const auto salvage =
        SalvageDatabase(copy, directory_.Join("scratch"), directory_.Join("target"), {});
    ASSERT_TRUE(salvage) << salvage.error().message;
    EXPECT_FALSE(salvage->whole);
    ASSERT_EQ(salvage->gaps.size(), 1u);
    EXPECT_NE(salvage->gaps[0].what.find("write-ahead log"), std::string::npos);
  }
}

TEST_F(DamagedLogTest, ALogThatIsCutOpensWithWhatIsBeforeTheCut) {
  for (int round = 0; round < 5; ++round) {
    const std::string copy = Copy();
    files::resize_file(LogIn(copy), random_.Below(last_));
    EXPECT_TRUE(Kv::Open(copy, {}));
  }
}

TEST_F(DamagedLogTest, ADatabaseThatIsClosedHasNothingInItsLogs) {
  kv_.reset();
  EXPECT_TRUE(LogIn(directory_.Join("db")).empty());
  const auto again = Kv::Open(directory_.Join("db"), {.read_only = true});
  ASSERT_TRUE(again) << again.error().message;
  const auto rows = (*again)->Iterate(Family::kRecipe, "", "");
  int count = 0;
  for (; rows->Valid(); rows->Next()) ++count;
  EXPECT_EQ(count, 12);
}

}  // namespace
}  // namespace dedupfs
