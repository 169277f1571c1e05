// Chunks of which only the extra copy is whole.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/packs/pack_format.h"
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

  std::string CopyPath(PackId pack) { return directory() + "/copies/" + PackFileName(pack); }

  std::vector<std::pair<ChunkId, Location>> CopiesThere() {
    const auto copies = ListCopies(*OpenDatabase(), 0, 1000);
    EXPECT_TRUE(IsOk(copies));
    return copies.value_or(std::vector<std::pair<ChunkId, Location>>{});
  }

  ChunkRow RowOf(ChunkId id) {
    const auto rows = LoadChunkRows(*OpenDatabase(), {&id, 1});
    EXPECT_TRUE(rows && (*rows)[0].row);
    return rows && (*rows)[0].row ? *(*rows)[0].row : ChunkRow{};
  }

  // Changes a byte of the record that its row names.
  void DamageRecord(ChunkId id) {
    const Location first = RowOf(id).location;
    Flip(Packs() + "/" + PackFileName(first.pack), first.offset + kRecordHeaderSize);
  }

  // Of each chunk that has a copy.
  void DamageRecords() {
    for (const auto& [id, at] : CopiesThere()) DamageRecord(id);
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

TEST_F(RepairCopiesTest, WithoutRecipesChunksOfWhichOnlyTheCopyIsWholeAreInLostAndFoundToo) {
  DamageRecords();
  DeleteFamily(Family::kRecipe);
  Repair();
  ExpectOnlyNamedDiffer();
  store_->Open();
  store_->SettledStats();  // no reclaim takes them
  std::string kept;
  for (const auto& [path, node] : ReadTree(store_->fs())) {
    if (path.starts_with("/lost+found/chunks-")) kept += node.content;
  }
  EXPECT_NE(kept.find(before_.at("/shared").content), std::string::npos);
  EXPECT_EQ(store_->fs().Stats()->store.healed_chunks, copies_);
  store_->Close();
}

TEST_F(RepairCopiesTest, WithoutRecipesACopyThatOnlyItsRowLeadsToIsInLostAndFoundToo) {
  auto copies = CopiesThere();
  std::sort(copies.begin(), copies.end(),
            [](const auto& a, const auto& b) { return a.second.offset < b.second.offset; });
  for (size_t i = 1; i < copies.size(); ++i) DamageRecord(copies[i].first);
  const std::string path = CopyPath(copies[0].second.pack);
  Flip(path, copies[0].second.offset);
  Flip(path, std::filesystem::file_size(path) - kFooterSize + 1);
  DeleteFamily(Family::kRecipe);
  Repair();
  store_->Open();
  store_->SettledStats();
  std::string kept;
  for (const auto& [name, node] : ReadTree(store_->fs())) {
    if (name.starts_with("/lost+found/chunks-")) kept += node.content;
  }
  EXPECT_NE(kept.find(before_.at("/shared").content), std::string::npos);
  store_->Close();
}

TEST_F(RepairCopiesTest, CopiesThatAreGoneAreForgotten) {
  std::filesystem::remove_all(directory() + "/copies");
  EXPECT_EQ(Mended(Repair(), "extra copies that are damaged, or of no chunk"), copies_);
  ExpectAsBefore();
}

TEST_F(RepairCopiesTest, APackOfCopiesThatCannotBeListedIsReadWhereRowsNameCopies) {
  auto copies = CopiesThere();
  std::sort(copies.begin(), copies.end(),
            [](const auto& a, const auto& b) { return a.second.offset < b.second.offset; });
  for (size_t i = 1; i < copies.size(); ++i) DamageRecord(copies[i].first);
  const Location& at = copies[0].second;
  const std::string path = CopyPath(at.pack);
  Flip(path, at.offset);                                           // where a walk begins
  Flip(path, std::filesystem::file_size(path) - kFooterSize + 1);  // and no table helps it
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "packs of extra copies that cannot be read whole"), 1U);
  EXPECT_EQ(Mended(report, "extra copies that are damaged, or of no chunk"), 1U);
  --copies_;
  ExpectHealed();
}

TEST_F(RepairCopiesTest, OfTwoChunksOfOneContentTheOneWithACopyStays) {
  const auto first = CopiesThere();
  DeleteFamily(Family::kFingerprint);
  store_->Open();
  for (const std::string name : {"again", "once more"}) {
    store_->PutFile(name, before_.at("/shared").content);
    TreeNode& node = before_["/" + name];
    node = before_.at("/shared");
    node.ino = store_->Find(name);
  }
  ASSERT_TRUE(IsOk(store_->fs().MakeCopies()));
  store_->Close();
  DamageRecords();
  std::set<std::string> twice;
  for (const auto& [id, at] : CopiesThere()) {
    if (id > first.back().first) twice.insert(std::string(RowOf(id).fingerprint.text()));
  }
  EXPECT_GT(twice.size(), 3U);
  for (const auto& [id, at] : first) {
    if (twice.count(std::string(RowOf(id).fingerprint.text())) == 0) continue;
    Flip(CopyPath(at.pack), at.offset + kRecordHeaderSize);
  }
  const RepairReport report = Repair();
  EXPECT_GE(Mended(report, "chunks of the same content"), 1U);
  EXPECT_EQ(losses_, std::vector<std::string>());
  store_->Open();
  ReadTree(store_->fs());  // heals
  store_->Close();
  ExpectAsBefore();
}

}  // namespace
}  // namespace dedupfs
