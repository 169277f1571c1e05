// A store as a killed daemon leaves it, with its newest changes in the log alone, and damage in
// that.
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "chunkstore/packs/pack_format.h"
#include "tests/fs/repair/repair_fixture.h"
#include "tests/support/point_stride.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

class RepairLogTest : public RepairTest {
 protected:
  RepairLogTest() : killed_(directory() + ".killed") {
    store_->Open();
    for (int i = 0; i < 12; ++i) {
      const std::string name = "late " + std::to_string(i);
      store_->PutFile(name, random_.Bytes(random_.Between(1, 40'000)));
      store_->OpenFile(name).Fsync();
    }
    {
      Handle changed = store_->OpenFile("text");
      changed.Write(1000, "changed");
      changed.Fsync();
    }
    store_->OpenFile("noise").Fsync();
    before_ = ReadTree(store_->fs());
    files::copy(directory(), killed_, files::copy_options::recursive);
    store_->Close();
    for (const auto& file : files::directory_iterator(killed_ + "/db")) {
      if (file.path().extension() == ".log" && file.file_size() > 0) log_ = file.path().filename();
    }
    Restore();
    std::ifstream log(Log(), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(log), {}};
    // What was synced last may as well be torn; the record of `text` alone is longer.
    tested_bytes_ = content.find_last_not_of('\0') - 1000;
  }
  ~RepairLogTest() override { files::remove_all(killed_); }

  std::string Log() const { return Database() + "/" + log_; }
  void Restore() {
    files::remove_all(directory());
    files::copy(killed_, directory(), files::copy_options::recursive);
  }
  void Flip(uint64_t offset, uint64_t bit) {
    std::fstream log(Log(), std::ios::in | std::ios::out | std::ios::binary);
    log.seekg(static_cast<std::streamoff>(offset));
    const auto byte = static_cast<char>(log.get() ^ (1 << bit));
    log.seekp(static_cast<std::streamoff>(offset));
    log.put(byte);
  }

  Random random_{TestSeed()};
  const std::string killed_;
  std::string log_;
  uint64_t tested_bytes_ = 0;
};

TEST_F(RepairLogTest, WithoutDamageNothingIsMissing) {
  Repair();
  ExpectAsBefore();
}

TEST_F(RepairLogTest, AFlipIsRefusedAndNoPackGoesAndARepairHarmsOnlyWhatItNames) {
  const int rounds = PointStride() > 1 ? 2 : 5;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    Restore();
    const uint64_t offset = random_.Below(tested_bytes_);
    SCOPED_TRACE("offset " + std::to_string(offset));
    Flip(offset, random_.Below(8));
    for (const bool read_only : {true, false}) {
      const auto opened = FileSystem::Open(directory(), {.read_only = read_only});
      ASSERT_FALSE(opened);
      EXPECT_NE(opened.error().message.find(log_), std::string::npos) << opened.error().message;
    }
    EXPECT_FALSE(FileSystem::Check(
        directory(), [](const std::string&) {}, [](const ChunkStore::CheckProgress&) {}));
    for (const auto& pack : files::directory_iterator(killed_ + "/packs")) {
      EXPECT_TRUE(files::exists(Packs() + "/" + pack.path().filename().string()));
    }
    Repair();
    ExpectOnlyNamedDiffer();
    EXPECT_FALSE(losses_.empty());
    EXPECT_EQ(CheckLines(), std::vector<std::string>());
  }
}

TEST_F(RepairLogTest, APackThatTheDatabaseCannotKnowIsKeptAndTheStoreNotOpened) {
  const std::string pack = Packs() + "/" + PackFileName(1000);
  files::copy_file(Packs() + "/" + PackFileName(1), pack);
  const auto opened = FileSystem::Open(directory(), {});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, EIO);
  EXPECT_NE(opened.error().message.find(pack), std::string::npos) << opened.error().message;
  EXPECT_TRUE(files::exists(pack));
}

// The records of a pack that only lost rows named must not go with the next reclaim.
TEST_F(RepairLogTest, ADatabaseThatIsOlderThanItsPacksKeepsTheirChunks) {
  for (const Family family :
       {Family::kMeta, Family::kPack, Family::kChunk, Family::kFingerprint, Family::kRecipe,
        Family::kContent, Family::kInode, Family::kDentry, Family::kDirty, Family::kXattr}) {
    DeleteFamily(family);
  }
  Repair();
  EXPECT_FALSE(losses_.empty());
  store_->Open();
  store_->SettledStats();
  std::string all;
  for (const auto& [path, node] : ReadTree(store_->fs())) {
    if (path.starts_with("/lost+found/chunks-")) all += node.content;
  }
  store_->Close();
  EXPECT_NE(all.find(before_.at("/shared").content), std::string::npos);
}

}  // namespace
}  // namespace dedupfs
