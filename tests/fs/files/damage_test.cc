// A damaged chunk harms nothing but its own bytes, and is healed by the same content.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr uint64_t kSize = 2 << 20;
constexpr uint64_t kDamaged = 1 << 20;  // an offset in the file whose byte is flipped on disk

// Flips the byte of the only pack that holds the 16 bytes of `content` at kDamaged.
void FlipInPacks(const std::string& packs, const std::string& content) {
  const std::string sought = content.substr(kDamaged, 16);
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(packs)) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    const size_t place = bytes.find(sought);
    if (place == std::string::npos) continue;
    ++found;
    file.clear();
    file.seekp(static_cast<std::streamoff>(place));
    file.put(static_cast<char>(bytes[place] ^ 1));
  }
  ASSERT_EQ(found, 1);
}

int ReadError(TestStore& store, const std::string& name) {
  Handle file = store.OpenFile(name, O_RDONLY);
  std::byte byte;
  return CodeOf(store.fs().Read(file.file(), kDamaged, MutableBytes(&byte, 1)));
}

TEST(DamageTest, DamagedRangeGivesEioAndTheRestIsRead) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(kSize);
  store.PutFile("file", bytes);
  store.Close();
  ASSERT_NO_FATAL_FAILURE(FlipInPacks(store.directory() + "/packs", bytes));
  store.Open();
  EXPECT_EQ(ReadError(store, "file"), EIO);
  Handle file = store.OpenFile("file", O_RDONLY);
  EXPECT_EQ(file.Read(0, 1000), bytes.substr(0, 1000));
  EXPECT_EQ(file.Read(kSize - 1000, 1000), bytes.substr(kSize - 1000));
}

TEST(DamageTest, ChangesBesideADamagedChunkAreKeptAndDurable) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(kSize);
  store.PutFile("file", bytes);
  store.Close();
  ASSERT_NO_FATAL_FAILURE(FlipInPacks(store.directory() + "/packs", bytes));
  store.Open();
  // More than an fsync puts into the log by itself, up to the damage.
  const std::string change = random.Bytes(200 << 10);
  const uint64_t offset = kDamaged - change.size();
  {
    Handle file = store.OpenFile("file", O_RDWR);
    file.Write(offset, change);
    file.Fsync();
    EXPECT_EQ(file.Read(offset, change.size()), change);
  }
  store.Close();
  store.Open();
  {
    Handle file = store.OpenFile("file", O_RDONLY);
    EXPECT_EQ(file.Read(offset, change.size()), change);
  }
  EXPECT_EQ(ReadError(store, "file"), EIO);
}

TEST(DamageTest, ErrorOfABackgroundCommitIsToldOnceToEachHandle) {
  Random random(TestSeed());
  TestStore store({.config = kQuietConfig});
  const std::string bytes = random.Bytes(kSize);
  store.PutFile("file", bytes);
  store.PutFile("source", random.Bytes(kSize));
  store.Close();
  ASSERT_NO_FATAL_FAILURE(FlipInPacks(store.directory() + "/packs", bytes));
  store.Open();
  Handle first = store.OpenFile("file", O_RDWR);
  Handle second = store.OpenFile("file", O_RDWR);
  Handle source = store.OpenFile("source", O_RDONLY);
  // A copied range beside the damage can neither be chunked nor be logged.
  const uint64_t length = 100'000;
  ASSERT_TRUE(IsOk(store.fs().CopyRange(source.file(), 0, first.file(), kDamaged - length, length)));
  ASSERT_TRUE(IsOk(store.fs().SyncAll())) << "one file does not hold the others back";
  const auto write = [&](Handle& handle) {
    return CodeOf(store.fs().Write(handle.file(), 0, AsBytes("x"), false));
  };
  EXPECT_EQ(write(first), EIO);
  EXPECT_EQ(write(first), 0);
  EXPECT_EQ(write(second), EIO);
  EXPECT_EQ(write(second), 0);
  Handle later = store.OpenFile("file", O_RDWR);
  EXPECT_EQ(write(later), 0) << "it was not open then";
}

TEST(DamageTest, TheSameContentHealsEveryFileThatUsesIt) {
  Random random(TestSeed());
  TestStore store;
  const std::string bytes = random.Bytes(kSize);
  store.PutFile("file", bytes);
  store.PutFile("second", bytes);
  store.Close();
  ASSERT_NO_FATAL_FAILURE(FlipInPacks(store.directory() + "/packs", bytes));
  store.Open();
  EXPECT_EQ(ReadError(store, "file"), EIO);
  store.PutFile("third", bytes);
  ASSERT_TRUE(IsOk(store.fs().SyncAll()));
  for (const char* name : {"file", "second", "third"}) {
    EXPECT_EQ(ReadError(store, name), 0) << name;
    EXPECT_TRUE(store.GetFile(name) == bytes) << name;
  }
}

}  // namespace
}  // namespace dedupfs
