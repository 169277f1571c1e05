#include "tools/dedupfs/tree_export.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/kv.h"
#include "fs/file_system.h"
#include "fs/namespace/dentry.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

class TreeExportTest : public testing::Test {
 protected:
  TreeExportTest() {
    EXPECT_TRUE(FileSystem::Format(store_, {}));
    auto fs = FileSystem::Open(store_, {});
    EXPECT_TRUE(fs);
    outer_ = Make(**fs, kRootIno, "outer");
    inner_ = Make(**fs, outer_, "inner");
    Make(**fs, inner_, "beside");
    EXPECT_TRUE((*fs)->Close());
  }
  static Ino Make(FileSystem& fs, Ino parent, const std::string& name) {
    const auto made = fs.Create(parent, name, S_IFDIR | 0755, 0, "", {});
    EXPECT_TRUE(made) << made.error().message;
    if (!made) return 0;
    fs.Forget(made->ino, 1);
    return made->ino;
  }
  // As only damage can leave it.
  void PutEntry(Ino parent, uint64_t cookie, Ino ino, const std::string& name) {
    const auto kv = Kv::Open(store_ + "/db", {});
    ASSERT_TRUE(kv);
    Batch batch;
    batch.Put(Family::kDentry, DentryKey(parent, cookie), EncodeDentry({ino, S_IFDIR, name}));
    ASSERT_TRUE((*kv)->Write(batch, Durability::kSynced));
  }
  Result<ExportReport> Export(const std::string& path) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto fs, FileSystem::Open(store_, {.read_only = true}));
    ExportHooks hooks;
    hooks.problem = [this](const std::string& where, const Error& error) {
      problems_.push_back(where);
      EXPECT_EQ(error.code, ELOOP) << error.message;
    };
    return ExportTree(*fs, path, target_, hooks);
  }

  TempDir temp_;
  const std::string store_ = temp_.Join("store");
  const std::string target_ = temp_.Join("out");
  Ino outer_ = 0;
  Ino inner_ = 0;
  std::vector<std::string> problems_;
};

// Twice in itself: a tree that is followed down doubles at each level.
TEST_F(TreeExportTest, ADirectoryInsideItselfIsNamedAndTheRestComesOut) {
  PutEntry(inner_, 1 << 20, outer_, "again");
  PutEntry(inner_, 1 << 21, outer_, "and-again");
  const auto report = Export("");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(problems_, (std::vector<std::string>{"/outer/inner/again", "/outer/inner/and-again"}));
  EXPECT_EQ(report->problems, 2u);
  EXPECT_TRUE(files::is_directory(target_ + "/outer/inner/beside"));
  EXPECT_FALSE(files::exists(target_ + "/outer/inner/again"));
  EXPECT_FALSE(files::exists(target_ + "/.dedupfs-export"));
}

TEST_F(TreeExportTest, OfASubtreeInsideItselfTheSizeIsMeasuredToo) {
  PutEntry(inner_, 1 << 20, inner_, "itself");
  PutEntry(inner_, 1 << 21, inner_, "and-itself");
  const auto report = Export("outer/inner");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(problems_,
            (std::vector<std::string>{"/outer/inner/itself", "/outer/inner/and-itself"}));
  EXPECT_TRUE(files::is_directory(target_ + "/beside"));
}

}  // namespace
}  // namespace dedupfs
