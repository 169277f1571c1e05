// Chunks of which there are several, or of which one is damaged.
#include <filesystem>
#include <fstream>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/damage_list.h"
#include "chunkstore/packs/pack_format.h"
#include "fs/content/recipe_page.h"
#include "tests/fs/repair/repair_fixture.h"

namespace dedupfs {
namespace {

class RepairIndexTest : public RepairTest {
 protected:
  std::vector<ChunkId> ChunksOf(const std::string& path) {
    std::vector<ChunkId> ids;
    const Ino ino = before_.at(path).ino;
    const auto value = OpenDatabase()->Get(Family::kRecipe, RecipeKey(ino, 0));
    EXPECT_TRUE(value && *value);
    const auto entries = ParseRecipePage(ino, 0, **value);
    EXPECT_TRUE(IsOk(entries));
    for (const RecipeEntry& entry : *entries) ids.push_back(entry.id);
    return ids;
  }

  // Changes a byte of the record that its row names.
  void DamageRecord(ChunkId id) {
    const auto value = OpenDatabase()->Get(Family::kChunk, BigU64(id));
    ASSERT_TRUE(value && *value);
    const auto row = ParseChunkRow(**value, id);
    ASSERT_TRUE(IsOk(row));
    std::fstream pack(Packs() + "/" + PackFileName(row->location.pack),
                      std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(row->location.offset + row->location.stored / 2);
    pack.seekg(at);
    const auto byte = static_cast<char>(~pack.get());
    pack.seekp(at);
    pack.put(byte);
  }

  // Writes the content of `path` once more, so that it is not known to be there already, and
  // another file into the same pack.
  void WriteAgain(const std::string& path, const std::string& name) {
    DeleteFamily(Family::kFingerprint);
    store_->Open();
    const std::string neighbour = "neighbour of " + name;
    for (const auto& [file, content] :
         {std::pair(name, before_.at(path).content), std::pair(neighbour, neighbour)}) {
      store_->PutFile(file, content);
      TreeNode& node = before_["/" + file];
      node.mode = before_.at(path).mode;
      node.content = content;
      node.size = content.size();
      node.ino = store_->Find(file);
    }
    store_->Close();
  }
};

TEST_F(RepairIndexTest, OfTwoChunksOfOneContentTheOneThatCanBeReadStays) {
  const std::string path = "/directory/file 3";
  const std::vector<ChunkId> first = ChunksOf(path);
  WriteAgain(path, "copy");
  const std::vector<ChunkId> second = ChunksOf("/copy");
  ASSERT_NE(first.front(), second.front());
  DamageRecord(first.front());
  const RepairReport report = Repair();
  EXPECT_GE(Mended(report, "chunks of the same content"), 1U);
  ExpectAsBefore();
}

TEST_F(RepairIndexTest, TheEarlierOfTwoStaysWhereTheLaterIsDamaged) {
  const std::string path = "/directory/file 3";
  WriteAgain(path, "copy");
  DamageRecord(ChunksOf("/copy").front());
  Repair();
  ExpectAsBefore();
}

TEST_F(RepairIndexTest, AChunkThatNothingUsesHealsADamagedOneOfItsContent) {
  const std::string path = "/directory/file 3";
  const ChunkId first = ChunksOf(path).front();
  WriteAgain(path, "copy");
  store_->Open();
  ASSERT_TRUE(IsOk(store_->fs().Unlink(kRootIno, "copy")));
  store_->Settle();
  store_->Close();
  before_.erase("/copy");
  DamageRecord(first);
  Repair();
  ExpectAsBefore();
}

// More than one batch of rows apart, so that the first has been written when the others come.
TEST_F(RepairIndexTest, ThreeChunksOfOneContentBecomeOneWithAllReferences) {
  const std::string path = "/directory/file 3";
  constexpr int kBetween = 4200;
  store_->Open();
  const auto made = store_->fs().Create(kRootIno, "between", S_IFDIR | 0755, 0, "", Caller{});
  ASSERT_TRUE(IsOk(made));
  for (int i = 0; i < kBetween; ++i) {
    Attributes attributes;
    const std::string name = std::to_string(i);
    auto file =
        store_->fs().CreateAndOpen(made->ino, name, S_IFREG | 0644, O_RDWR, Caller{}, attributes);
    ASSERT_TRUE(IsOk(file));
    ASSERT_TRUE(IsOk(store_->fs().Write(**file, 0, AsBytes(name), false)));
    store_->fs().Release(std::move(*file));
    store_->fs().Forget(attributes.ino, 1);
  }
  store_->Close();
  WriteAgain(path, "second");
  WriteAgain(path, "third");
  const RepairReport report = Repair();
  EXPECT_GE(Mended(report, "chunks of the same content"), 2U);
  ExpectAsBefore();
}

TEST_F(RepairIndexTest, TheListOfCondemnedChunksNamesThoseThatAreAndNoOthers) {
  const ChunkId damaged = ChunksOf("/directory/file 5").front();
  const ChunkId sound = ChunksOf("/directory/file 6").front();
  {
    Batch batch;
    PutDamage(batch, sound);
    ASSERT_TRUE(IsOk(OpenDatabase()->Write(batch, Durability::kSynced)));
  }
  DamageRecord(damaged);
  const RepairReport report = Repair();
  EXPECT_EQ(Mended(report, "entries of the list of condemned chunks"), 2U);
  EXPECT_TRUE(IsNamed("/directory/file 5"));
  const auto listed = ListDamage(*OpenDatabase(), 0, 10);
  ASSERT_TRUE(IsOk(listed));
  EXPECT_EQ(*listed, std::vector<ChunkId>{damaged});
  ExpectOnlyNamedDiffer();
  EXPECT_FALSE(Repair().needed());
}

}  // namespace
}  // namespace dedupfs
