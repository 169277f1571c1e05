// A recipe depends on the bytes and the policy alone, however the file came to hold them.
#include <gtest/gtest.h>
#include <linux/falloc.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/fs/model/content_pool.h"
#include "tests/fs/model/model_file.h"
#include "tests/fs/model/seek_checks.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr std::string_view kContentId = "user.dedupfs.content_id";

// One file on its way, by detours, to the bytes of another.
class Detour {
 public:
  Detour(TestStore& store, Random& random, const ContentPool& pool, std::string name,
         std::string source, std::string final_bytes)
      : store_(store),
        random_(random),
        pool_(pool),
        name_(std::move(name)),
        source_(std::move(source)),
        final_(std::move(final_bytes)),
        handle_(store.CreateFile(name_)) {}

  void Run() {
    const uint64_t edits = random_.Below(12);
    for (uint64_t i = 0; i < edits && !::testing::Test::HasFailure(); ++i) {
      Edit();
      Interrupt();
    }
    Converge();
  }

 private:
  // Leaves something that is not the final content.
  void Edit() {
    const uint64_t limit = final_.size() + final_.size() / 4 + 10000;
    const uint64_t offset = random_.Below(limit);
    const uint64_t length = random_.Between(1, std::min<uint64_t>(limit - offset, 80 << 10));
    switch (random_.Below(5)) {
      case 0:
        handle_.Truncate(offset);
        model_.Truncate(offset);
        break;
      case 1:
        Zero(offset, length);
        break;
      default: {
        const std::string data = pool_.Make(random_, length);
        handle_.Write(offset, data);
        model_.Write(offset, data);
      }
    }
  }

  void Zero(uint64_t offset, uint64_t length) {
    const int mode =
        (random_.OneIn(2) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE) | FALLOC_FL_KEEP_SIZE;
    EXPECT_TRUE(IsOk(store_.fs().Allocate(handle_.file(), mode, offset, length)));
    model_.Punch(offset, length);
  }

  void Interrupt() {
    switch (random_.Below(24)) {
      case 0:
      case 1:
      case 2:
        handle_.Fsync();
        break;
      case 3:
        EXPECT_TRUE(IsOk(store_.fs().SyncAll()));
        break;
      case 4:
        store_.Settle();
        break;
      case 5:
        handle_.Close();
        if (random_.OneIn(3)) store_.Reopen();
        handle_ = store_.OpenFile(name_);
        break;
      default:
        break;
    }
  }

  // The final content in pieces, in random order or as appends.
  void Converge() {
    const bool append = random_.OneIn(3);
    if (append) {
      handle_.Truncate(0);
      model_.Truncate(0);
    }
    std::vector<std::pair<uint64_t, uint64_t>> pieces;
    for (uint64_t at = 0; at < final_.size();) {
      uint64_t size = random_.OneIn(2) ? 4096 * random_.Between(1, 24) : random_.Between(1, 90000);
      size = std::min<uint64_t>(size, final_.size() - at);
      pieces.emplace_back(at, size);
      at += size;
    }
    if (!append) {
      for (size_t i = pieces.size(); i > 1; --i) std::swap(pieces[i - 1], pieces[random_.Below(i)]);
    }
    for (const auto& [offset, size] : pieces) {
      Place(offset, size);
      Interrupt();
      if (::testing::Test::HasFailure()) return;
    }
    handle_.Truncate(final_.size());
  }

  void Place(uint64_t offset, uint64_t size) {
    const std::string_view data = std::string_view(final_).substr(offset, size);
    const bool zeros = data.find_first_not_of('\0') == std::string_view::npos;
    if (zeros && random_.OneIn(2) && offset + size <= model_.size()) {
      Zero(offset, size);
      return;
    }
    if (random_.OneIn(4)) {
      Copy(offset, size);
    } else {
      handle_.Write(offset, data);
    }
    model_.Write(offset, data);
  }

  void Copy(uint64_t offset, uint64_t size) {
    Handle source = store_.OpenFile(source_, O_RDONLY);
    ASSERT_TRUE(source.ok());
    const auto copied = store_.fs().CopyRange(source.file(), offset, handle_.file(), offset, size);
    ASSERT_TRUE(IsOk(copied));
    ASSERT_EQ(*copied, size);
  }

  TestStore& store_;
  Random& random_;
  const ContentPool& pool_;
  const std::string name_, source_, final_;
  Handle handle_;
  ModelBytes model_;
};

// The parameter ends the file names: ".img" makes them fixed-block files.
class CanonicalRecipeTest : public ::testing::TestWithParam<const char*> {
 protected:
  std::string Named(const std::string& stem, int round) const {
    return stem + std::to_string(round) + GetParam();
  }
};

void ExpectChangedByteChangesTheId(TestStore& store, Random& random, const std::string& name,
                                   const std::string& bytes, const std::string& id) {
  if (bytes.empty()) return;
  const uint64_t at = random.Below(bytes.size());
  const std::string other(1, static_cast<char>(bytes[at] ^ 1));
  store.OpenFile(name).Write(at, other);
  store.Settle();
  EXPECT_NE(store.Xattr(name, kContentId), id) << "byte " << at << " differs";
  store.OpenFile(name).Write(at, bytes.substr(at, 1));
  store.Settle();
  EXPECT_EQ(store.Xattr(name, kContentId), id) << "byte " << at << " is back";
}

TEST_P(CanonicalRecipeTest, ContentIdDependsOnTheBytesNotOnHowTheyWereWritten) {
  Random random(TestSeed());
  TestStore store;
  const ContentPool pool(random);
  constexpr int kRounds = 64;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const std::string bytes = pool.Make(random, random.Below(random.OneIn(4) ? 700000 : 150000));
    const std::string whole = Named("whole", round), pieces = Named("pieces", round);
    store.PutFile(whole, bytes);
    if (random.OneIn(2)) store.Settle();
    Detour(store, random, pool, pieces, whole, bytes).Run();
    ASSERT_TRUE(store.GetFile(pieces) == bytes);
    store.Settle();
    const std::string id = store.Xattr(whole, kContentId);
    EXPECT_FALSE(id.empty());
    EXPECT_EQ(store.Xattr(pieces, kContentId), id) << bytes.size() << " bytes";
    Handle handle = store.OpenFile(pieces, O_RDONLY);
    ExpectExactHoles(store.fs(), handle.file(), bytes);
    handle.Close();
    if (random.OneIn(4)) ExpectChangedByteChangesTheId(store, random, pieces, bytes, id);
  }
  store.ExpectCleanCheck();
}

TEST_P(CanonicalRecipeTest, FilesOfEqualSizeThatDifferInOneByteHaveOtherIds) {
  Random random(TestSeed());
  TestStore store;
  std::string bytes = random.Bytes(300000);
  store.PutFile(Named("one", 0), bytes);
  bytes[random.Below(bytes.size())] ^= 0x40;
  store.PutFile(Named("other", 0), bytes);
  store.Settle();
  EXPECT_NE(store.Xattr(Named("one", 0), kContentId), store.Xattr(Named("other", 0), kContentId));
}

// Zeros make no difference to chunks that a hole and a shorter file share: the size must tell.
TEST_P(CanonicalRecipeTest, FilesThatDifferOnlyInTheLengthOfTheirTailOfZerosHaveOtherIds) {
  TestStore store;
  const std::string head(8192, 'h');
  store.PutFile(Named("short", 0), head);
  store.PutFile(Named("zeros", 0), head + std::string(8192, '\0'));
  store.PutFile(Named("truncated", 0), head);
  store.OpenFile(Named("truncated", 0)).Truncate(16384);
  store.Settle();
  const std::string zeros = store.Xattr(Named("zeros", 0), kContentId);
  EXPECT_NE(store.Xattr(Named("short", 0), kContentId), zeros);
  EXPECT_EQ(store.Xattr(Named("truncated", 0), kContentId), zeros);
}

INSTANTIATE_TEST_SUITE_P(Policies, CanonicalRecipeTest, ::testing::Values("", ".img"),
                         [](const auto& info) {
                           return std::string(*info.param == '\0' ? "ContentDefined" : "Fixed");
                         });

}  // namespace
}  // namespace dedupfs
