#include "fs/namespace/folded_names.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fs/namespace/case_fold.h"

namespace dedupfs {
namespace {

using Cookies = std::vector<uint64_t>;

// The hash of a name is its length: names of one length collide.
uint64_t Length(std::string_view name) { return name.size(); }

class FoldedNamesTest : public testing::Test {
 protected:
  void Remember(Ino directory, const std::vector<std::string>& names) {
    auto scan = names_.Begin(directory);
    ASSERT_TRUE(scan);
    for (size_t i = 0; i < names.size(); ++i) scan->Add(FoldCase(names[i]), i + 1);
    names_.End(*scan, true);
  }

  FoldedNames names_{Length, 10};
};

TEST_F(FoldedNamesTest, NothingIsKnownOfADirectoryThatWasNotScanned) {
  names_.Added(1, "a", 7);
  EXPECT_EQ(names_.Find(1, "a"), std::nullopt);
}

TEST_F(FoldedNamesTest, AllThatMayHaveTheNameAreTold) {
  Remember(1, {"a", "B", "long"});
  EXPECT_EQ(names_.Find(1, "b"), (Cookies{1, 2}));
  EXPECT_EQ(names_.Find(1, "long"), Cookies{3});
  EXPECT_EQ(names_.Find(1, "none of it"), Cookies{});
  EXPECT_EQ(names_.Find(2, "a"), std::nullopt);
}

TEST_F(FoldedNamesTest, WhatIsAddedIsToldOnce) {
  Remember(1, {"a"});
  names_.Added(1, "LONG", 5);
  names_.Added(1, "Long", 5);
  names_.Added(1, "C", 9);
  EXPECT_EQ(names_.Find(1, "long"), Cookies{5});
  EXPECT_EQ(names_.Find(1, "c"), (Cookies{1, 9}));
}

TEST_F(FoldedNamesTest, WhatIsAddedDuringTheScanIsInIt) {
  auto scan = names_.Begin(1);
  ASSERT_TRUE(scan);
  scan->Add("a", 1);
  names_.Added(1, "Late", 4);
  names_.Added(1, "a", 1);  // the scan saw it, too
  EXPECT_EQ(names_.Find(1, "a"), std::nullopt) << "not yet";
  EXPECT_FALSE(names_.Begin(1)) << "one scan at a time";
  names_.End(*scan, true);
  EXPECT_EQ(names_.Find(1, "late"), Cookies{4});
  EXPECT_EQ(names_.Find(1, "a"), Cookies{1});
}

TEST_F(FoldedNamesTest, AScanThatSawNotAllIsForgotten) {
  auto scan = names_.Begin(1);
  ASSERT_TRUE(scan);
  names_.End(*scan, false);
  EXPECT_EQ(names_.Find(1, "a"), std::nullopt);
  EXPECT_TRUE(names_.Begin(1));
}

TEST_F(FoldedNamesTest, ADirectoryOverTheBoundIsNotRemembered) {
  Remember(1, std::vector<std::string>(11, "x"));
  EXPECT_EQ(names_.Find(1, "x"), std::nullopt);
  Remember(1, std::vector<std::string>(10, "x"));
  EXPECT_TRUE(names_.Find(1, "x"));
  names_.Added(1, "y", 100);
  EXPECT_EQ(names_.Find(1, "x"), std::nullopt);
}

TEST_F(FoldedNamesTest, TheDirectoryThatWasNotAskedForTheLongestGoesFirst) {
  Remember(1, {"a", "b", "c", "d"});
  Remember(2, {"a", "b", "c", "d"});
  EXPECT_TRUE(names_.Find(1, "a"));
  Remember(3, {"a", "b", "c"});
  EXPECT_TRUE(names_.Find(1, "a"));
  EXPECT_FALSE(names_.Find(2, "a"));
  EXPECT_TRUE(names_.Find(3, "a"));
}

TEST_F(FoldedNamesTest, DirectoriesWithoutEntriesAreBoundedToo) {
  for (Ino directory = 1; directory <= FoldedNames::kMostDirectories + 5; ++directory) {
    Remember(directory, {});
  }
  EXPECT_FALSE(names_.Find(5, "a"));
  EXPECT_TRUE(names_.Find(6, "a"));
}

TEST_F(FoldedNamesTest, AScanWhoseDirectoryWasForgottenMeanwhileIsNotTakenForAnother) {
  auto first = names_.Begin(1);
  ASSERT_TRUE(first);
  for (uint64_t i = 0; i < 11; ++i) names_.Added(1, "x", i + 1);  // over the bound
  auto second = names_.Begin(1);
  ASSERT_TRUE(second);
  names_.End(*first, true);
  EXPECT_EQ(names_.Find(1, "x"), std::nullopt) << "it does not know what came in between";
  second->Add("x", 1);
  names_.End(*second, true);
  EXPECT_EQ(names_.Find(1, "x"), Cookies{1});
}

}  // namespace
}  // namespace dedupfs
