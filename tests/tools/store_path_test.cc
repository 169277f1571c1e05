#include "tools/dedupfs/store_path.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

TEST(StorePathTest, LinksAreFollowed) {
  const TempDir directory;
  const std::string real = *AbsolutePath(directory.path());
  ASSERT_EQ(::mkdir((real + "/store").c_str(), 0700), 0);
  ASSERT_EQ(::symlink("store", (real + "/link").c_str()), 0);
  const auto path = AbsolutePath(real + "/link/");
  ASSERT_TRUE(path);
  EXPECT_EQ(*path, real + "/store");
}

TEST(StorePathTest, MissingPathIsNamed) {
  const auto path = AbsolutePath("/no/such/path");
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, ENOENT);
  EXPECT_NE(path.error().message.find("/no/such/path"), std::string::npos);
  EXPECT_FALSE(AbsolutePath(""));
}

TEST(StorePathTest, TheLastComponentOfANewPathMayBeMissing) {
  const TempDir directory;
  const std::string real = *AbsolutePath(directory.path());
  ASSERT_EQ(::symlink(".", (real + "/link").c_str()), 0);
  EXPECT_EQ(AbsoluteNewPath(real + "/link/new/").value_or(""), real + "/new");
  EXPECT_EQ(AbsoluteNewPath(real + "/link/").value_or(""), real);
  EXPECT_EQ(AbsoluteNewPath("/no-such-name").value_or(""), "/no-such-name");
  EXPECT_FALSE(AbsoluteNewPath("/no/such/path"));
  EXPECT_FALSE(AbsoluteNewPath(""));
}

TEST(StorePathTest, AFileIsNoStore) {
  const TempDir directory;
  const std::string file = directory.path() + "/file";
  std::ofstream(file) << "x";
  const auto store = StoreOf(file);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ENOTDIR);
}

TEST(StorePathTest, InsideMeansWholeComponents) {
  EXPECT_TRUE(IsInside("/a/b", "/a"));
  EXPECT_TRUE(IsInside("/a", "/a"));
  EXPECT_TRUE(IsInside("/a", "/"));
  EXPECT_FALSE(IsInside("/ab", "/a"));
  EXPECT_FALSE(IsInside("/a", "/a/b"));
}

}  // namespace
}  // namespace dedupfs
