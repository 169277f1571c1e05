// Chunks of which only the extra copy is whole.
#include <filesystem>
#include <fstream>

#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"
#include "tests/fs/repair/repair_fixture.h"

namespace dedupfs {
namespace {

class RepairCopiesTest : public RepairTest {
 protected:
  RepairCopiesTest() {
    std::ofstream(directory() + "/dedupfs.toml", std::ios::app) << "extra_copy_references = 1\n";
    store_->Open();
    const auto made = store_->fs().MakeCopies();
    EXPECT_TRUE(IsOk(made));
    copies_ = made ? made->made_chunks : 0;
    EXPECT_GT(copies_, 5U) << "of the content that two files share";
    store_->Close();
  }

  static void Flip(const std::string& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(byte);
    EXPECT_TRUE(file.good()) << path;
  }

  // Changes a byte of each record that has a copy.
  void DamageRecords() {
    const auto kv = OpenDatabase();
    const auto copies = ListCopies(*kv, 0, 1000);
    ASSERT_TRUE(IsOk(copies));
    for (const auto& [id, at] : *copies) {
      const auto rows = LoadChunkRows(*kv, {&id, 1});
      ASSERT_TRUE(rows && (*rows)[0].row);
      const Location& first = (*rows)[0].row->location;
      Flip(Packs() + "/" + PackFileName(first.pack), first.offset + kRecordHeaderSize);
    }
  }

  // Everything is read, and healed by that.
  void ExpectHealed() {
    EXPECT_EQ(losses_, std::vector<std::string>());
    store_->Open();
    ReadTree(store_->fs());
    EXPECT_EQ(store_->fs().Stats()->store.healed_chunks, copies_);
    store_->Close();
    ExpectAsBefore();
  }

  uint64_t copies_ = 0;
};

TEST_F(RepairCopiesTest, ASoundStoreIsLeftAlone) { EXPECT_FALSE(Repair().needed()); }

TEST_F(RepairCopiesTest, AChunkOfWhichOnlyTheCopyIsWholeIsNotLost) {
  DamageRecords();
  EXPECT_EQ(Mended(Repair(), "damaged chunks that are condemned"), copies_);
  EXPECT_FALSE(Repair(false).needed());
  ExpectHealed();
}

TEST_F(RepairCopiesTest, WithoutAnIndexCopiesGiveTheChunksThatNoPackHolds) {
  DamageRecords();
  for (const Family family : {Family::kChunk, Family::kFingerprint, Family::kPack, Family::kMeta}) {
    DeleteFamily(family);
  }
  EXPECT_EQ(Mended(Repair(), "chunk rows made from extra copies"), copies_);
  ExpectHealed();
}

TEST_F(RepairCopiesTest, CopiesThatAreGoneAreForgotten) {
  std::filesystem::remove_all(directory() + "/copies");
  EXPECT_EQ(Mended(Repair(), "extra copies that are damaged, or of no chunk"), copies_);
  ExpectAsBefore();
}

}  // namespace
}  // namespace dedupfs
