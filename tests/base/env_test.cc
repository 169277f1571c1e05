// What every Env must do: the suite runs over the real disk and over FaultEnv.
#include "chunkstore/base/env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

enum class Kind { kPosix, kFault };

class EnvTest : public testing::TestWithParam<Kind> {
 protected:
  Env& env() {
    if (GetParam() == Kind::kPosix) return PosixEnv();
    return fault_;
  }
  std::string At(const std::string& name) const { return directory_.Join(name); }

  // Creates a file that holds `content`.
  std::unique_ptr<File> Made(const std::string& name, const std::string& content) {
    Result<std::unique_ptr<File>> file = env().Create(At(name));
    EXPECT_TRUE(file) << file.error().message;
    const std::vector<Bytes> pieces{AsBytes(content)};
    EXPECT_TRUE((*file)->Append(pieces));
    return std::move(*file);
  }
  std::string Content(const std::string& name) {
    const Result<std::string> content = env().ReadAll(At(name), 64 << 20);
    EXPECT_TRUE(content) << content.error().message;
    return content ? *content : "";
  }

  TempDir directory_;
  FaultEnv fault_{directory_.path()};
};

template <typename T>
int CodeOf(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

TEST_P(EnvTest, AppendedPiecesReadBackInOrder) {
  const std::unique_ptr<File> file = Made("a", "one");
  const std::vector<Bytes> pieces{AsBytes("two"), Bytes(), AsBytes("three")};
  ASSERT_TRUE(file->Append(pieces));
  ASSERT_TRUE(file->Append({}));
  ASSERT_TRUE(file->Sync());
  EXPECT_EQ(file->Size().value(), 11U);
  EXPECT_EQ(Content("a"), "onetwothree");
}

TEST_P(EnvTest, MorePiecesThanOneSystemCallTakesAreAllAppended) {
  Random random(TestSeed());
  const std::string all = random.Bytes(IOV_MAX * 5 + 3);
  std::vector<Bytes> pieces;
  for (size_t at = 0; at < all.size(); at += 2) {
    pieces.push_back(AsBytes(std::string_view(all).substr(at, 2)));
  }
  const std::unique_ptr<File> file = Made("a", "");
  ASSERT_TRUE(file->Append(pieces));
  EXPECT_EQ(Content("a"), all);
}

TEST_P(EnvTest, ReadsAreShortOnlyAtTheEnd) {
  const std::unique_ptr<File> file = Made("a", "0123456789");
  Buffer out(4);
  EXPECT_EQ(file->ReadAt(3, out).value(), 4U);
  EXPECT_EQ(AsText(out), "3456");
  EXPECT_EQ(file->ReadAt(8, out).value(), 2U);
  EXPECT_EQ(AsText(out).substr(0, 2), "89");
  EXPECT_EQ(file->ReadAt(10, out).value(), 0U);
  EXPECT_EQ(file->ReadAt(1 << 20, out).value(), 0U);
  EXPECT_EQ(file->ReadAt(0, {}).value(), 0U);
}

TEST_P(EnvTest, CreateRefusesANameThatIsThere) {
  Made("a", "kept");
  EXPECT_EQ(CodeOf(env().Create(At("a"))), EEXIST);
  EXPECT_EQ(Content("a"), "kept");
}

TEST_P(EnvTest, AFileOpenedForReadingRefusesAppends) {
  Made("a", "kept");
  Result<std::unique_ptr<File>> file = env().OpenForRead(At("a"));
  ASSERT_TRUE(file);
  const std::vector<Bytes> pieces{AsBytes("x")};
  EXPECT_EQ(CodeOf((*file)->Append(pieces)), EBADF);
  EXPECT_EQ(Content("a"), "kept");
}

TEST_P(EnvTest, MissingPathsAreEnoentAndNamed) {
  const Result<std::unique_ptr<File>> file = env().OpenForRead(At("none"));
  EXPECT_EQ(CodeOf(file), ENOENT);
  EXPECT_NE(file.error().message.find(At("none")), std::string::npos);
  EXPECT_EQ(CodeOf(env().Create(At("none/a"))), ENOENT);
  EXPECT_EQ(CodeOf(env().Rename(At("none"), At("b"))), ENOENT);
  EXPECT_EQ(CodeOf(env().Remove(At("none"))), ENOENT);
  EXPECT_EQ(CodeOf(env().MakeDir(At("none/d"))), ENOENT);
  EXPECT_EQ(CodeOf(env().SyncDir(At("none"))), ENOENT);
  EXPECT_EQ(CodeOf(env().List(At("none"))), ENOENT);
  EXPECT_EQ(CodeOf(env().Space(At("none"))), ENOENT);
  EXPECT_EQ(CodeOf(env().ReadAll(At("none"), 10)), ENOENT);
}

TEST_P(EnvTest, FilesAreNoDirectories) {
  Made("a", "x");
  EXPECT_EQ(CodeOf(env().List(At("a"))), ENOTDIR);
  EXPECT_EQ(CodeOf(env().SyncDir(At("a"))), ENOTDIR);
  EXPECT_EQ(CodeOf(env().Create(At("a/b"))), ENOTDIR);
}

TEST_P(EnvTest, DirectoriesListTheirNames) {
  ASSERT_TRUE(env().MakeDir(At("d")));
  EXPECT_EQ(CodeOf(env().MakeDir(At("d"))), EEXIST);
  EXPECT_TRUE(env().List(At("d"))->empty());
  Made("d/a", "");
  Made("d/b", "");
  ASSERT_TRUE(env().MakeDir(At("d/c")));
  ASSERT_TRUE(env().SyncDir(At("d")));
  EXPECT_THAT(*env().List(At("d")), testing::UnorderedElementsAre("a", "b", "c"));
}

TEST_P(EnvTest, RemoveTakesFilesAndEmptyDirectories) {
  ASSERT_TRUE(env().MakeDir(At("d")));
  Made("d/a", "");
  EXPECT_EQ(CodeOf(env().Remove(At("d"))), ENOTEMPTY);
  ASSERT_TRUE(env().Remove(At("d/a")));
  ASSERT_TRUE(env().Remove(At("d")));
  EXPECT_TRUE(env().List(directory_.path())->empty());
}

TEST_P(EnvTest, RenameReplacesTheTarget) {
  ASSERT_TRUE(env().MakeDir(At("d")));
  Made("a", "new");
  Made("d/b", "old");
  ASSERT_TRUE(env().Rename(At("a"), At("d/b")));
  EXPECT_EQ(Content("d/b"), "new");
  EXPECT_EQ(CodeOf(env().OpenForRead(At("a"))), ENOENT);
  ASSERT_TRUE(env().Rename(At("d/b"), At("d/b")));
  EXPECT_EQ(Content("d/b"), "new");
}

TEST_P(EnvTest, AnOpenFileOutlivesItsName) {
  const std::unique_ptr<File> file = Made("a", "still");
  ASSERT_TRUE(env().Remove(At("a")));
  Buffer out(5);
  EXPECT_EQ(file->ReadAt(0, out).value(), 5U);
  EXPECT_EQ(AsText(out), "still");
}

TEST_P(EnvTest, ReadAllRefusesWhatIsOverTheLimit) {
  Made("a", "12345");
  EXPECT_EQ(env().ReadAll(At("a"), 5).value(), "12345");
  EXPECT_EQ(CodeOf(env().ReadAll(At("a"), 4)), EFBIG);
}

TEST_P(EnvTest, ReplaceFileLeavesNothingBesides) {
  ASSERT_TRUE(env().ReplaceFile(directory_.path(), "f", "one"));
  EXPECT_EQ(Content("f"), "one");
  Made("f.new", "left by a crash");
  ASSERT_TRUE(env().ReplaceFile(directory_.path(), "f", ""));
  EXPECT_EQ(Content("f"), "");
  EXPECT_THAT(*env().List(directory_.path()), testing::ElementsAre("f"));
}

TEST_P(EnvTest, SpaceIsConsistent) {
  const Result<SpaceInfo> space = env().Space(directory_.path());
  ASSERT_TRUE(space);
  EXPECT_GT(space->total, 0U);
  EXPECT_LE(space->free, space->total);
  EXPECT_LE(space->available, space->free);
}

INSTANTIATE_TEST_SUITE_P(All, EnvTest, testing::Values(Kind::kPosix, Kind::kFault),
                         [](const testing::TestParamInfo<Kind>& info) {
                           return info.param == Kind::kPosix ? "Posix" : "Fault";
                         });

}  // namespace
}  // namespace dedupfs
