// A whole column family, a pack, or the database itself is lost.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "chunkstore/packs/pack_format.h"
#include "tests/fs/repair/repair_fixture.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

class RepairFamilyTest : public RepairTest {
 protected:
  std::vector<files::path> FilesOf(const std::string& where, const std::string& extension) {
    std::vector<files::path> found;
    for (const auto& entry : files::directory_iterator(where)) {
      if (entry.path().extension() == extension) found.push_back(entry.path());
    }
    return found;
  }
};

TEST_F(RepairFamilyTest, TheIndexIsRebuiltFromThePacksAlone) {
  for (const Family family : {Family::kChunk, Family::kFingerprint, Family::kPack}) {
    DeleteFamily(family);
  }
  const RepairReport report = Repair();
  EXPECT_GT(Mended(report, "chunk rows made from packs"), 20U);
  ExpectAsBefore();
}

TEST_F(RepairFamilyTest, MetaXattrOrphanAndDirtyAreDerivedOrNamed) {
  for (const Family family : {Family::kMeta, Family::kOrphan, Family::kDirty}) {
    DeleteFamily(family);
    Repair();
    ExpectAsBefore();
  }
  DeleteFamily(Family::kXattr);
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "xattrs that are lost"), 1U);
  ExpectAsBefore();
}

TEST_F(RepairFamilyTest, WithoutInodesNamesAndContentAreKept) {
  DeleteFamily(Family::kInode);
  const RepairReport report = Repair();
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  // Without content there is nothing to tell what they were.
  EXPECT_EQ(Mended(report, "entries that name no inode"), 2U);
  before_.erase("/empty");
  before_.erase("/symlink");
  EXPECT_EQ(ExpectOnlyNamedDiffer(), 0U);
}

TEST_F(RepairFamilyTest, WithoutEntriesEveryFileIsInLostAndFound) {
  DeleteFamily(Family::kDentry);
  Repair();
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  store_->Open();
  const Tree after = ReadTree(store_->fs());
  store_->Close();
  for (const auto& [path, node] : before_) {
    const auto found = after.find("/lost+found/#" + std::to_string(node.ino));
    ASSERT_NE(found, after.end()) << path;
    EXPECT_TRUE(found->second.content == node.content) << path;
  }
}

TEST_F(RepairFamilyTest, WithoutContentRecordsEveryFileIsNamedAndItsChunksAreRead) {
  DeleteFamily(Family::kContent);
  Repair();
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  ExpectOnlyNamedDiffer();
  EXPECT_TRUE(IsNamed("/shared"));
  EXPECT_GT(losses_.size(), 40U);
  store_->Open();
  EXPECT_TRUE(store_->GetFile("noise") == before_.at("/noise").content);
  EXPECT_TRUE(store_->GetFile("sparse") == before_.at("/sparse").content);
  store_->Close();
}

TEST_F(RepairFamilyTest, WithoutRecipesEveryFileIsNamedAndNoneReadsAsZeros) {
  DeleteFamily(Family::kRecipe);
  Repair();
  ExpectOnlyNamedDiffer();
  EXPECT_TRUE(IsNamed("/shared"));
  store_->Open();
  store_->SettledStats();  // no reclaim takes the chunks that nothing names now
  std::string kept;
  for (const auto& [path, node] : ReadTree(store_->fs())) {
    if (path.starts_with("/lost+found/chunks-")) kept += node.content;
  }
  EXPECT_NE(kept.find(before_.at("/shared").content), std::string::npos);
  for (const auto& [path, node] : ReadTree(store_->fs())) {
    if (before_.contains(path) && !before_.at(path).content.empty() && S_ISREG(node.mode)) {
      EXPECT_FALSE(node.readable) << path;
    }
  }
  store_->Close();
}

TEST_F(RepairFamilyTest, EachMissingPackIsNamedByEveryFileThatNeedsIt) {
  for (const files::path& pack : FilesOf(Packs(), ".pack")) {
    const std::string aside = pack.string() + ".aside";
    files::rename(pack, aside);
    Repair();
    EXPECT_GT(ExpectOnlyNamedDiffer(), 0U);
    files::rename(aside, pack);
    // The pack is back: all is well again.
    Repair();
    ExpectAsBefore();
  }
}

TEST_F(RepairFamilyTest, APackInWhichNothingIsReadableIsSetAside) {
  std::ofstream(Packs() + "/" + PackFileName(9000)) << std::string(5000, 'n');
  DeleteFamily(Family::kPack);
  Repair();
  EXPECT_TRUE(files::exists(Packs() + "/" + PackFileName(9000) + ".damaged"));
  ExpectAsBefore();
}

TEST_F(RepairFamilyTest, WithoutManifestTheTablesAreReadAndNothingIsMissing) {
  for (const files::path& file : FilesOf(Database(), "")) {
    const std::string name = file.filename();
    if (name.starts_with("MANIFEST") || name == "CURRENT") files::remove(file);
  }
  const RepairReport report = Repair();
  EXPECT_TRUE(report.database_damaged);
  EXPECT_TRUE(report.applied);
  EXPECT_TRUE(files::exists(report.kept));
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  EXPECT_EQ(ExpectOnlyNamedDiffer(), 0U);
  // One line says so, not one for each file.
  ASSERT_EQ(losses_.size(), 1U) << losses_.back();
  EXPECT_TRUE(losses_.front().starts_with("the database: ")) << losses_.front();
}

TEST_F(RepairFamilyTest, WithoutManifestAndATableTheFilesOfItsRowsAreNamed) {
  const std::vector<files::path> older = FilesOf(Database(), ".sst");
  store_->Open();
  store_->PutFile("late", std::string(90'000, 'l'));
  {
    Handle changed = store_->OpenFile("text");  // its rows of before lie in older tables
    changed.Write(0, std::string(150'000, 'y'));
  }
  store_->Settle();
  before_ = ReadTree(store_->fs());
  store_->Reopen();
  store_->Close();
  for (const files::path& file : FilesOf(Database(), "")) {
    if (file.filename().string().starts_with("MANIFEST")) files::remove(file);
  }
  for (const files::path& table : FilesOf(Database(), ".sst")) {
    if (std::find(older.begin(), older.end(), table) != older.end()) continue;
    SCOPED_TRACE(table.filename().string());
    const std::string aside = directory() + ".aside";
    files::copy(Database(), aside, files::copy_options::recursive);
    files::remove(table);
    Repair();
    ExpectOnlyNamedDiffer();
    files::remove_all(Database());
    files::rename(aside, Database());
  }
}

TEST_F(RepairFamilyTest, WithoutCurrentNothingIsLost) {
  const std::string current = Database() + "/CURRENT";
  for (const std::string& content : {std::string(), std::string("MANIFEST-999999\n")}) {
    SCOPED_TRACE(content);
    std::ofstream(current, std::ios::trunc) << content;
    EXPECT_TRUE(Repair().database_damaged);
    ExpectAsBefore();
  }
  files::remove(current);
  EXPECT_TRUE(Repair().database_damaged);
  ExpectAsBefore();
}

TEST_F(RepairFamilyTest, WithoutADatabaseEveryChunkIsKeptInLostAndFound) {
  files::remove_all(Database());
  Repair();
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  store_->Open();
  store_->SettledStats();  // and no reclaim takes them
  const Tree after = ReadTree(store_->fs());
  store_->Close();
  std::string all;
  for (const auto& [path, node] : after) {
    if (path.starts_with("/lost+found/chunks-")) all += node.content;
  }
  EXPECT_NE(all.find(before_.at("/noise").content), std::string::npos);
  EXPECT_NE(all.find(before_.at("/directory/file 9").content), std::string::npos);
}

}  // namespace
}  // namespace dedupfs
