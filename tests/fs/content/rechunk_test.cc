// A committed recipe against the definition (fs/content/rechunk.h), computed from the bytes alone,
// for contents that random edits and copies have made.
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_row.h"
#include "chunkstore/chunking/chunker.h"
#include "chunkstore/chunking/fingerprint.h"
#include "fs/content/content_record.h"
#include "fs/content/recipe_page.h"
#include "tests/fs/model/content_pool.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr int kSeeds = 100;
constexpr uint64_t kSpan = 300000;  // of the offsets that one round edits

struct Cut {
  uint64_t offset = 0, length = 0;
  bool operator==(const Cut&) const = default;
};

bool BlockIsHole(std::string_view bytes, uint64_t block) {
  return bytes.substr(block, kHoleBlock).find_first_not_of('\0') == std::string_view::npos;
}

// The definition: whole aligned blocks of zeros are holes (the last block may be short), and every
// run between them is cut from its start on.
std::vector<Cut> CutsByDefinition(const ChunkPolicy& policy, std::string_view bytes) {
  std::vector<Cut> cuts;
  uint64_t at = 0;
  while (at < bytes.size()) {
    if (BlockIsHole(bytes, at)) {
      at += kHoleBlock;
      continue;
    }
    uint64_t end = at;
    while (end < bytes.size() && !BlockIsHole(bytes, end)) end += kHoleBlock;
    end = std::min<uint64_t>(end, bytes.size());
    while (at < end) {
      cuts.push_back({at, FindCut(policy, AsBytes(bytes.substr(at, end - at)))});
      at += cuts.back().length;
    }
  }
  return cuts;
}

struct Made {
  Ino ino = 0;
  std::string bytes;
};

// One file that is edited beside its model.
class EditedFile {
 public:
  EditedFile(TestStore& store, Ino parent, const std::string& name) : store_(store) {
    Attributes attributes;
    auto file = store.fs().CreateAndOpen(parent, name, S_IFREG | 0644, O_RDWR | O_CREAT, Caller{},
                                         attributes);
    EXPECT_TRUE(IsOk(file));
    if (file) handle_ = Handle(&store.fs(), std::move(*file), attributes.ino, 1);
  }

  bool ok() const { return handle_.ok(); }
  const std::string& bytes() const { return bytes_; }
  Made Finish() {
    const Ino ino = handle_.ino();
    handle_.Close();
    return {ino, std::move(bytes_)};
  }

  void Write(uint64_t offset, std::string_view data) {
    handle_.Write(offset, data);
    Lay(offset, data);
  }
  void Truncate(uint64_t size) {
    handle_.Truncate(size);
    bytes_.resize(size, '\0');
  }
  void Zero(uint64_t offset, uint64_t length, bool punch) {
    const int mode = (punch ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
    ASSERT_TRUE(IsOk(store_.fs().Allocate(handle_.file(), mode, offset, length)));
    if (offset >= bytes_.size()) return;
    length = std::min<uint64_t>(length, bytes_.size() - offset);
    std::fill_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), length, '\0');
  }
  void CopyFrom(EditedFile& source, uint64_t from, uint64_t to, uint64_t length) {
    if (from >= source.bytes_.size()) return;
    length = std::min<uint64_t>(length, source.bytes_.size() - from);
    if (&source == this && from < to + length && to < from + length) return;
    const auto copied =
        store_.fs().CopyRange(source.handle_.file(), from, handle_.file(), to, length);
    ASSERT_TRUE(IsOk(copied));
    ASSERT_EQ(*copied, length);
    Lay(to, std::string(source.bytes_, from, length));
  }
  // Chunked and committed, though not synced.
  void Commit() { EXPECT_TRUE(IsOk(store_.fs().GetXattr(handle_.ino(), "user.dedupfs.chunks"))); }
  void Fsync() { handle_.Fsync(); }

 private:
  void Lay(uint64_t offset, std::string_view data) {
    if (bytes_.size() < offset + data.size()) bytes_.resize(offset + data.size(), '\0');
    bytes_.replace(offset, data.size(), data);
  }

  TestStore& store_;
  Handle handle_;
  std::string bytes_;
};

// The parameter is the rule of the library that the files are in.
class RechunkTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto library = store_.fs().Create(kRootIno, "library", S_IFDIR | 0755, 0, "", Caller{});
    ASSERT_TRUE(IsOk(library));
    library_ = library->ino;
    ASSERT_TRUE(
        IsOk(store_.fs().SetXattr(library_, "user.dedupfs.policy", GetParam(), 0, Caller{})));
  }
  void TearDown() override {
    if (store_closed_) return;
    store_.fs().Forget(library_, 1);
  }

  static uint64_t MaybeAligned(Random& random, uint64_t offset) {
    return random.OneIn(2) ? offset - offset % kHoleBlock : offset;
  }

  void EditOnce(Random& random, EditedFile& file, EditedFile& other, uint64_t base) {
    const uint64_t offset = base + MaybeAligned(random, random.Below(kSpan));
    const uint64_t length = std::max<uint64_t>(1, MaybeAligned(random, random.Between(1, 100000)));
    switch (random.Below(10)) {
      case 0:
        file.Truncate(random.OneIn(3) ? MaybeAligned(random, random.Below(offset + 1)) : offset);
        break;
      case 1:
        file.Zero(offset, length, random.OneIn(2));
        break;
      case 2:
        file.Write(offset, std::string(length, '\0'));
        break;
      case 3:
        file.Write(offset, std::string(1, random.OneIn(2) ? '\0' : 'x'));
        break;
      case 4:
      case 5:
      case 6: {
        // To the same place, by whole blocks, or anywhere.
        const uint64_t from = base + MaybeAligned(random, random.Below(kSpan));
        const uint64_t to = random.OneIn(2) ? from : offset;
        file.CopyFrom(random.OneIn(5) ? file : other, from, to, random.OneIn(3) ? kSpan : length);
        break;
      }
      default:
        file.Write(offset, pool_.Make(random, length));
    }
    if (random.OneIn(3)) file.Commit();
    if (random.OneIn(12)) file.Fsync();
  }

  void RunSeed(uint64_t seed) {
    Random random(seed);
    const std::string number = std::to_string(made_.size());
    EditedFile one(store_, library_, "one" + number);
    EditedFile two(store_, library_, "two" + number);
    EditedFile alien(store_, kRootIno, "alien" + number + (random.OneIn(2) ? ".img" : ""));
    ASSERT_TRUE(one.ok() && two.ok() && alien.ok());
    // Now and then over the bounds of a recipe page.
    const uint64_t base = random.OneIn(12) ? kRecipePageSpan - kSpan / 2 : 0;
    alien.Write(base, pool_.Make(random, kSpan));
    if (random.OneIn(2)) alien.Commit();
    const uint64_t edits = random.Between(2, 24);
    for (uint64_t i = 0; i < edits && !HasFailure(); ++i) {
      EditedFile& file = random.OneIn(2) ? one : two;
      EditedFile& other = random.OneIn(6) ? alien : &file == &one ? two : one;
      EditOnce(random, file, other, base);
    }
    made_.push_back(one.Finish());
    made_.push_back(two.Finish());
  }

  // Closes the store, and reads the recipes from its database.
  void VerifyAll(const ChunkPolicy& policy) {
    store_.fs().Forget(library_, 1);
    store_.ExpectCleanCheck();
    store_.Close();
    store_closed_ = true;
    KvOptions options;
    options.read_only = true;
    auto kv = Kv::Open(store_.directory() + "/db", options);
    ASSERT_TRUE(IsOk(kv));
    for (size_t i = 0; i < made_.size() && !HasFailure(); ++i) {
      SCOPED_TRACE("DEDUPFS_TEST_SEED=" + std::to_string(first_seed_ + i / 2) + " makes file " +
                   std::to_string(i % 2) + " of " + std::to_string(made_[i].bytes.size()) +
                   " bytes at once");
      VerifyOne(**kv, made_[i], policy);
    }
  }

  static void VerifyOne(Kv& kv, const Made& made, const ChunkPolicy& policy) {
    const std::vector<Cut> cuts = CutsByDefinition(policy, made.bytes);
    RecipeEntries entries;
    ReadRecipe(kv, made.ino, entries);
    uint64_t data_bytes = 0;
    for (size_t i = 0; i < std::max(cuts.size(), entries.size()); ++i) {
      ASSERT_LT(i, entries.size()) << "the recipe ends early, at entry " << i;
      ASSERT_LT(i, cuts.size()) << "the recipe has an entry too many at " << entries[i].offset;
      ASSERT_EQ(entries[i].offset, cuts[i].offset) << "entry " << i;
      ASSERT_EQ(entries[i].length, cuts[i].length) << "entry " << i << " at " << cuts[i].offset;
      data_bytes += entries[i].length;
      const auto value = kv.Get(Family::kChunk, BigU64Key(entries[i].id));
      ASSERT_TRUE(value && value->has_value());
      const auto row = ParseChunkRow(**value, entries[i].id);
      ASSERT_TRUE(IsOk(row));
      ASSERT_EQ(row->raw, entries[i].length);
      const std::string_view content =
          std::string_view(made.bytes).substr(cuts[i].offset, cuts[i].length);
      ASSERT_EQ(row->fingerprint, FingerprintOf(AsBytes(content))) << "at " << cuts[i].offset;
    }
    VerifyRecord(kv, made, data_bytes, policy);
  }

  static void VerifyRecord(Kv& kv, const Made& made, uint64_t data_bytes,
                           const ChunkPolicy& policy) {
    const auto value = kv.Get(Family::kContent, ContentKey(made.ino));
    ASSERT_TRUE(IsOk(value));
    if (!value->has_value()) {
      EXPECT_TRUE(made.bytes.empty());
      return;
    }
    const auto record = ParseContentRecord(made.ino, **value);
    ASSERT_TRUE(IsOk(record));
    EXPECT_EQ(record->size, made.bytes.size());
    EXPECT_EQ(record->recipe_size, made.bytes.size());
    EXPECT_EQ(record->data_bytes, data_bytes);
    EXPECT_FALSE(record->has_dirty_rows);
    if (made.bytes.empty()) return;
    EXPECT_EQ(record->policy, policy);
    EXPECT_EQ(record->reason, PolicyReason::kLibrary);
  }

  static std::string BigU64Key(uint64_t id) { return ContentKey(id); }

  static void ReadRecipe(Kv& kv, Ino ino, RecipeEntries& entries) {
    const std::string prefix = ContentKey(ino);
    const auto rows = kv.Iterate(Family::kRecipe, prefix, PrefixEnd(prefix));
    for (; rows->Valid(); rows->Next()) {
      const auto page = ParseRecipePage(ino, RecipePageOfKey(rows->key()), rows->value());
      ASSERT_TRUE(IsOk(page));
      entries.insert(entries.end(), page->begin(), page->end());
    }
    ASSERT_TRUE(IsOk(rows->status()));
  }

  const uint64_t first_seed_ = TestSeed();
  Random pool_random_{42};
  const ContentPool pool_{pool_random_};
  TestStore store_{{.config = kQuietConfig}};
  Ino library_ = 0;
  bool store_closed_ = false;
  std::vector<Made> made_;
};

ChunkPolicy PolicyOf(std::string_view rule) {
  if (rule == "content:16384") return {ChunkingKind::kContentDefined, 16384};
  return {ChunkingKind::kFixed, rule == "fixed:4096" ? 4096u : 16384u};
}

TEST_P(RechunkTest, RecipeOfRandomEditsAndCopiesIsThatOfTheDefinition) {
  for (int i = 0; i < kSeeds && !HasFailure(); ++i) {
    const uint64_t seed = first_seed_ + static_cast<uint64_t>(i);
    SCOPED_TRACE("DEDUPFS_TEST_SEED=" + std::to_string(seed) + " makes it at once");
    RunSeed(seed);
  }
  if (!HasFailure()) VerifyAll(PolicyOf(GetParam()));
}

TEST_P(RechunkTest, ShortLastBlockOfZerosIsAHole) {
  EditedFile file(store_, library_, "tail");
  file.Write(0, std::string(8192, 'd') + std::string(100, '\0'));
  file.Commit();
  made_.push_back(file.Finish());
  EditedFile grown(store_, library_, "grown");
  grown.Write(0, std::string(8192, 'd') + std::string(100, '\0'));
  grown.Commit();
  grown.Write(8192 + 4095, "x");  // the block is no hole any more, all of it
  grown.Commit();
  made_.push_back(grown.Finish());
  EditedFile cut(store_, library_, "cut");
  cut.Write(0, std::string(8192, 'd') + std::string(4000, '\0') + "x");
  cut.Commit();
  cut.Truncate(8192 + 4000);
  made_.push_back(cut.Finish());
  VerifyAll(PolicyOf(GetParam()));
}

TEST_P(RechunkTest, CloneOfAWholeFileHasItsRecipe) {
  Random random(first_seed_);
  for (const uint64_t shift : {uint64_t{0}, uint64_t{4096}, uint64_t{1}, uint64_t{5000}}) {
    EditedFile source(store_, library_, "source" + std::to_string(shift));
    EditedFile target(store_, library_, "target" + std::to_string(shift));
    source.Write(0, pool_.Make(random, 500000) + random.Bytes(777));
    source.Commit();
    target.CopyFrom(source, 0, shift, source.bytes().size());
    made_.push_back(target.Finish());
    made_.push_back(source.Finish());
  }
  VerifyAll(PolicyOf(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Policies, RechunkTest,
                         ::testing::Values("content:16384", "fixed:4096", "fixed:16384"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

}  // namespace
}  // namespace dedupfs
