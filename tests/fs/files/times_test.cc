// Who says when a file was changed: the caller, we, or the kernel that keeps written pages.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/fs/model/test_store.h"

namespace dedupfs {
namespace {

class TimesTest : public ::testing::Test {
 protected:
  void SetMtime(Ino ino, Time mtime) {
    AttributeChange change;
    change.mtime = mtime;
    ASSERT_TRUE(IsOk(store_.fs().SetAttributes(ino, change, Caller{}, nullptr)));
  }
  Attributes Stat(std::string_view name) {
    const auto found = store_.fs().GetAttributes(store_.Find(name));
    EXPECT_TRUE(IsOk(found));
    return found.value_or(Attributes());
  }
  // As the kernel writes back what it has cached.
  void WriteBack(Handle& handle, uint64_t offset, std::string_view data) {
    ASSERT_TRUE(
        IsOk(store_.fs().Write(handle.file(), offset, AsBytes(data), false, WriteTimes::kKernels)));
  }
  // A file whose content and mtime are committed.
  void MakeOld(std::string_view name) {
    store_.PutFile(name, "old content");
    SetMtime(store_.Find(name), kOld);
    store_.Settle();
    ASSERT_EQ(Stat(name).mtime, kOld);
  }

  static constexpr Time kOld = 1'000'000'000'000;
  TestStore store_{{16 << 10, kQuietConfig}};
};

TEST_F(TimesTest, NewFileKeepsTheTimeOfItsCreationWhenItsPagesComeLater) {
  Time made = 0;
  {
    Handle handle = store_.CreateFile("a");
    made = Stat("a").mtime;
    ASSERT_GT(made, 0);
    WriteBack(handle, 0, "content");
  }
  EXPECT_EQ(Stat("a").mtime, made);
  store_.Reopen();
  EXPECT_EQ(Stat("a").mtime, made);
}

TEST_F(TimesTest, NewBytesNeverComeWithAnOldTime) {
  MakeOld("a");
  {
    Handle handle = store_.OpenFile("a");
    WriteBack(handle, 0, "new");
  }
  store_.Reopen();
  EXPECT_EQ(store_.GetFile("a"), "new content");
  EXPECT_GT(Stat("a").mtime, kOld);
  EXPECT_GT(Stat("a").ctime, kOld);
}

TEST_F(TimesTest, WhatTheKernelSaysAfterItsPagesCounts) {
  MakeOld("a");
  {
    Handle handle = store_.OpenFile("a");
    WriteBack(handle, 0, "new");
    store_.Settle();
    SetMtime(handle.ino(), kOld + 5);
  }
  store_.Reopen();
  EXPECT_EQ(Stat("a").mtime, kOld + 5);
}

TEST_F(TimesTest, WhatTheKernelSaysBeforeTheCommitCounts) {
  MakeOld("a");
  {
    Handle handle = store_.OpenFile("a");
    WriteBack(handle, 0, "new");
    SetMtime(handle.ino(), kOld + 5);
  }
  store_.Reopen();
  EXPECT_EQ(Stat("a").mtime, kOld + 5);
}

TEST_F(TimesTest, SmallSyncedWriteDoesNotKeepAnOldTime) {
  MakeOld("a");
  {
    Handle handle = store_.OpenFile("a");
    WriteBack(handle, 0, "new");
    handle.Fsync();
  }
  store_.Reopen();
  EXPECT_GT(Stat("a").mtime, kOld);
}

TEST_F(TimesTest, MtimeOfTheEpochSurvivesTheNextOpen) {
  {
    Handle handle = store_.CreateFile("a");
    handle.Write(0, "content");
    SetMtime(handle.ino(), 0);
  }
  const Time changed = Stat("a").ctime;
  { EXPECT_TRUE(store_.OpenFile("a", O_RDONLY).ok()); }
  EXPECT_EQ(Stat("a").mtime, 0);
  EXPECT_GE(Stat("a").ctime, changed);
  store_.Reopen();
  EXPECT_EQ(Stat("a").mtime, 0);
}

}  // namespace
}  // namespace dedupfs
