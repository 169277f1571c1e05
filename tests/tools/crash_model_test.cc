#include "tools/dedupfs/selftest/crash_model.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace dedupfs {
namespace {

Content Of(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

bool Allows(const CrashModel& model, const std::map<std::string, Content>& found) {
  return model.Faults(found).empty();
}

CrashModel WithFile(const std::string& name, const std::string& content) {
  CrashModel model;
  model.Settle({{name, Of(content)}});
  return model;
}

TEST(CrashModelTest, ASyncedFileHasToBeThereAsItWas) {
  CrashModel model;
  model.WillRewrite("a", Of("content"));
  EXPECT_TRUE(Allows(model, {}));
  EXPECT_TRUE(Allows(model, {{"a", Of("cont")}}));
  model.FileSynced("a");
  EXPECT_EQ(model.acknowledged(), 1U);
  EXPECT_FALSE(Allows(model, {}));
  EXPECT_FALSE(Allows(model, {{"a", Of("cont")}}));
  EXPECT_FALSE(Allows(model, {{"a", Of("contenT")}}));
  EXPECT_TRUE(Allows(model, {{"a", Of("content")}}));
}

TEST(CrashModelTest, WhatWasFoundIsDurableFromThenOn) {
  const CrashModel model = WithFile("a", "found");
  EXPECT_FALSE(Allows(model, {}));
  EXPECT_TRUE(Allows(model, {{"a", Of("found")}}));
}

TEST(CrashModelTest, AnAppendKeepsWhatWasSyncedAndMayLoseTheRest) {
  CrashModel model = WithFile("a", "one");
  model.WillAppend("a", Of("onetwo"));
  model.WillAppend("a", Of("onetwothree"));
  EXPECT_TRUE(Allows(model, {{"a", Of("one")}}));
  EXPECT_TRUE(Allows(model, {{"a", Of("onetw")}}));
  EXPECT_FALSE(Allows(model, {{"a", Of("on")}}));
  EXPECT_FALSE(Allows(model, {}));
}

TEST(CrashModelTest, AnOverwriteLeavesEachByteOldOrNew) {
  CrashModel model = WithFile("a", "aaaa");
  model.WillOverwrite("a", Of("abba"));
  EXPECT_TRUE(Allows(model, {{"a", Of("aaba")}}));
  EXPECT_FALSE(Allows(model, {{"a", Of("acba")}}));
  EXPECT_FALSE(Allows(model, {{"a", Of("aab")}}));
  EXPECT_FALSE(Allows(model, {}));
}

TEST(CrashModelTest, AResizeLeavesOneSizeOrTheOther) {
  CrashModel model = WithFile("a", "aaaa");
  model.WillResize("a", Of("aa"));
  EXPECT_TRUE(Allows(model, {{"a", Of("aaaa")}}));
  EXPECT_TRUE(Allows(model, {{"a", Of("aa")}}));
  EXPECT_FALSE(Allows(model, {{"a", Of("aaa")}}));
}

TEST(CrashModelTest, AReplacementLeavesOneContentOrTheOtherAndNeverLess) {
  CrashModel model = WithFile("a", "old");
  model.WillReplace("a", Of("new"), false);
  model.NameChanged("a");
  EXPECT_TRUE(Allows(model, {{"a", Of("old")}}));
  EXPECT_TRUE(Allows(model, {{"a", Of("new")}}));
  EXPECT_FALSE(Allows(model, {{"a", Of("")}}));
  EXPECT_FALSE(Allows(model, {}));
  model.NamesSynced();
  EXPECT_FALSE(Allows(model, {{"a", Of("old")}}));
  EXPECT_TRUE(Allows(model, {{"a", Of("new")}}));
}

TEST(CrashModelTest, OfAnUnsyncedFileMovedToAFreeNameNothingIsPromised) {
  CrashModel model;
  model.WillReplace("a", Of("new"), false);
  model.NameChanged("a");
  model.NamesSynced();
  EXPECT_TRUE(Allows(model, {}));
  EXPECT_TRUE(Allows(model, {{"a", Of("")}}));
}

TEST(CrashModelTest, ASyncedFileMovedToAFreeNameIsThereAfterASyncOfTheDirectory) {
  CrashModel model;
  model.WillReplace("a", Of("new"), true);
  model.NameChanged("a");
  EXPECT_TRUE(Allows(model, {}));
  model.NamesSynced();
  EXPECT_FALSE(Allows(model, {}));
  EXPECT_TRUE(Allows(model, {{"a", Of("new")}}));
}

TEST(CrashModelTest, ADeletedFileIsGoneAfterTheSyncOfAnyOther) {
  CrashModel model = WithFile("a", "old");
  model.WillDelete("a");
  EXPECT_TRUE(Allows(model, {{"a", Of("old")}}));
  EXPECT_TRUE(Allows(model, {}));
  EXPECT_FALSE(Allows(model, {{"a", Of("")}}));
  model.NameChanged("a");
  model.WillRewrite("b", Of("other"));
  model.FileSynced("b");
  EXPECT_FALSE(Allows(model, {{"a", Of("old")}, {"b", Of("other")}}));
  EXPECT_TRUE(Allows(model, {{"b", Of("other")}}));
}

TEST(CrashModelTest, ASyncSaysNothingOfANameWhoseChangeHasNotReturned) {
  CrashModel model = WithFile("a", "old");
  model.WillDelete("a");
  model.NamesSynced();
  EXPECT_TRUE(Allows(model, {{"a", Of("old")}}));
}

TEST(CrashModelTest, ASyncOfAnotherFileSaysNothingOfUnsyncedContent) {
  CrashModel model = WithFile("a", "old");
  model.WillReplace("a", Of("new"), true);
  model.NameChanged("a");
  model.WillRewrite("a", Of("newer"));
  model.NamesSynced();
  EXPECT_TRUE(Allows(model, {}));
  EXPECT_TRUE(Allows(model, {{"a", Of("newe")}}));
}

TEST(CrashModelTest, AFaultNamesTheFileAndHowFarItIsRight) {
  const CrashModel model = WithFile("a", "content");
  const auto faults = model.Faults({{"a", Of("conTENT")}});
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0], "a: 7 bytes, equal to byte 3; promised: 7 bytes");
}

}  // namespace
}  // namespace dedupfs
