// Rows that contradict one another are mended from those that do not.
#include <sys/stat.h>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_row.h"
#include "fs/content/content_record.h"
#include "fs/content/dirty_row.h"
#include "fs/content/recipe_page.h"
#include "fs/namespace/dentry.h"
#include "fs/namespace/inode_record.h"
#include "tests/fs/repair/repair_fixture.h"

namespace dedupfs {
namespace {

using RepairRowsTest = RepairTest;

TEST_F(RepairRowsTest, ASoundStoreIsLeftAlone) {
  const RepairReport report = Repair();
  EXPECT_TRUE(report.mended.empty()) << report.mended.front().name;
  EXPECT_FALSE(report.applied);
  EXPECT_EQ(report.kept, "");
  ExpectAsBefore();
}

TEST_F(RepairRowsTest, ADryRunTellsAndChangesNothing) {
  DeleteFamily(Family::kFingerprint);
  const auto problems = CheckLines();
  const RepairReport report = Repair(false);
  EXPECT_GT(Mended(report, "fingerprint entries"), 10U);
  EXPECT_FALSE(report.applied);
  EXPECT_EQ(CheckLines(), problems);
  EXPECT_TRUE(Repair().applied);
  ExpectAsBefore();
  EXPECT_FALSE(Repair().needed());
}

TEST_F(RepairRowsTest, CountsPlacesAndSumsAreComputedAnew) {
  {
    const auto kv = OpenDatabase();
    Batch batch;
    const auto rows = kv->Iterate(Family::kChunk, "", "");
    for (int i = 0; rows->Valid(); rows->Next(), ++i) {
      auto row = ParseChunkRow(rows->value(), ParseBigU64(rows->key()));
      ASSERT_TRUE(row);
      if (i % 4 == 0) row->refcount += 5;
      if (i % 4 == 1) row->location.offset += 8;
      if (i % 4 == 2) row->condemned = true;
      batch.Put(Family::kChunk, rows->key(), EncodeChunkRow(*row));
    }
    batch.Put(Family::kMeta, kTotalsKey, "nonsense");
    ASSERT_TRUE(kv->Write(batch, Durability::kSynced));
  }
  const RepairReport report = Repair();
  EXPECT_GT(Mended(report, "reference counts"), 5U);
  EXPECT_GT(Mended(report, "places of chunks"), 5U);
  EXPECT_GT(Mended(report, "condemned chunks that are whole"), 5U);
  EXPECT_EQ(Mended(report, "totals"), 1U);
  ExpectAsBefore();
}

TEST_F(RepairRowsTest, AnInodeWithoutANameGoesToLostAndFoundWithItsContent) {
  const Ino ino = before_.at("/directory/file 3").ino;
  const Ino parent = before_.at("/directory").ino;
  {
    const auto kv = OpenDatabase();
    Batch batch;
    const auto rows = kv->Iterate(Family::kDentry, BigU64(parent), BigU64(parent + 1));
    for (; rows->Valid(); rows->Next()) {
      const auto entry = ParseDentry(parent, 1, rows->value());
      if (entry && entry->ino == ino) batch.Delete(Family::kDentry, rows->key());
    }
    ASSERT_EQ(batch.count(), 1U);
    ASSERT_TRUE(kv->Write(batch, Durability::kSynced));
  }
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "inodes without a name, moved to lost+found"), 1U);
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  store_->Open();
  const Tree after = ReadTree(store_->fs());
  store_->Close();
  const std::string place = "/lost+found/#" + std::to_string(ino);
  ASSERT_TRUE(after.contains(place));
  EXPECT_TRUE(after.at(place).content == before_.at("/directory/file 3").content);
  EXPECT_EQ(after.at(place).nlink, 1U);
}

TEST_F(RepairRowsTest, AnEntryThatNamesNoInodeIsRemovedAndNamed) {
  const std::string name = "dangling";
  const Ino parent = before_.at("/directory").ino;
  Put(Family::kDentry, DentryKey(parent, 5ull << kCollisionBits),
      EncodeDentry({999'999'999, S_IFREG, name}));
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "entries that name no inode"), 1U);
  ExpectAsBefore();
}

TEST_F(RepairRowsTest, LinkCountsAndDirectoryCountsAreMended) {
  for (const char* path : {"/noise", "/directory", "/directory/inner"}) {
    const Ino ino = before_.at(path).ino;
    std::string value = *OpenDatabase()->Get(Family::kInode, InodeKey(ino)).value();
    auto record = ParseInode(ino, value);
    ASSERT_TRUE(record);
    record->nlink += 7;
    if (IsDirectory(*record)) record->entries += 3;
    Put(Family::kInode, InodeKey(ino), EncodeInode(*record));
  }
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "link counts"), 1U);
  EXPECT_EQ(Mended(report, "counts of directories"), 2U);
  ExpectAsBefore();
  store_->Open();
  EXPECT_EQ(ReadTree(store_->fs()).at("/noise").nlink, 2U);
  store_->Close();
}

TEST_F(RepairRowsTest, ADirectoryInsideItselfIsTakenOut) {
  const Ino outer = before_.at("/directory").ino;
  const Ino inner = before_.at("/directory/inner").ino;
  {
    const auto kv = OpenDatabase();
    Batch batch;
    for (const Ino parent : {kRootIno, outer}) {
      const auto rows = kv->Iterate(Family::kDentry, BigU64(parent), BigU64(parent + 1));
      for (; rows->Valid(); rows->Next()) {
        const auto entry = ParseDentry(parent, 1, rows->value());
        if (parent == kRootIno && entry && entry->ino == outer) {
          batch.Delete(Family::kDentry, rows->key());
        }
      }
    }
    batch.Put(Family::kDentry, DentryKey(inner, 7ull << kCollisionBits),
              EncodeDentry({outer, S_IFDIR, "loop"}));
    ASSERT_TRUE(kv->Write(batch, Durability::kSynced));
  }
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "directories inside themselves"), 1U);
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  store_->Open();
  const Tree after = ReadTree(store_->fs());
  store_->Close();
  size_t found = 0;
  for (const auto& [path, node] : after) found += path.ends_with("/file 7") ? 1 : 0;
  EXPECT_EQ(found, 1U);
}

TEST_F(RepairRowsTest, ContentOfNoInodeAndDirtyExtentsOfNobodyAreDropped) {
  Put(Family::kRecipe, RecipeKey(888'888, 0), EncodeRecipePage(0, {{0, 100, 1}}));
  Put(Family::kDirty, DirtyKey(888'888, 1, 0), EncodeDirtyRow(0, 2, false, AsBytes("ab")));
  Put(Family::kDirty, DirtyKey(before_.at("/text").ino, 1, 0),
      EncodeDirtyRow(0, 2, false, AsBytes("ab")));
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "content of what is no regular file, removed"), 1U);
  EXPECT_EQ(Mended(report, "dirty extents that the record does not know of, removed"), 1U);
  ExpectAsBefore();
}

TEST_F(RepairRowsTest, AMissingRecipePageIsNamedAndReadsAsAnErrorNotAsZeros) {
  const Ino ino = before_.at("/sparse").ino;
  Delete(Family::kRecipe, RecipeKey(ino, 1));
  Repair();
  ASSERT_EQ(losses_.size(), 1U);
  EXPECT_EQ(losses_[0], "/sparse: bytes 16777216 to 33554431 are lost");
  for (const std::string& line : CheckLines()) {
    EXPECT_TRUE(line.find("/sparse") == 0 || line.find("pack") == 0) << line;
  }
  store_->Open();
  Handle file = store_->OpenFile("sparse", O_RDWR);
  std::byte byte;
  EXPECT_EQ(CodeOf(store_->fs().Read(file.file(), 17 << 20, MutableBytes(&byte, 1))), EIO);
  EXPECT_TRUE(file.Read(0, 50'000) == before_.at("/sparse").content.substr(0, 50'000));
  file.Close();
  // It can be removed, and nothing of it stays.
  EXPECT_TRUE(IsOk(store_->fs().Unlink(kRootIno, "sparse")));
  store_->SettledStats();
  losses_.clear();
  store_->Close();
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
}

TEST_F(RepairRowsTest, ContentOfAnInodeWhoseRecordIsLostIsKept) {
  Delete(Family::kInode, InodeKey(before_.at("/shared").ino));
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "inodes whose owner, mode and xattrs are lost"), 1U);
  ExpectAsBefore();
}

TEST_F(RepairRowsTest, NumbersAreNeverGivenAgain) {
  for (const char* name : {"next_ino", "chunk_ids", "pack_ids"}) Delete(Family::kMeta, name);
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "numbers that were given"), 3U);
  ExpectAsBefore();
  Ino highest = 0;
  for (const auto& [path, node] : before_) highest = std::max(highest, node.ino);
  store_->Open();
  store_->PutFile("new", "content");
  // "gone" had the highest number, and nothing tells of it any more.
  EXPECT_GT(store_->Find("new"), highest + 1);
  store_->Close();
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
}

}  // namespace
}  // namespace dedupfs
