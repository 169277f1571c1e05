// Listing, and cookies that hold while directories change.
#include <map>
#include <set>

#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class ListTest : public NamespaceFixture {
 protected:
  // The next `count` entries after `cookie`, as one readdir call takes them.
  std::vector<DirectoryEntry> Page(Ino directory, uint64_t cookie, size_t count) {
    std::vector<DirectoryEntry> out;
    EXPECT_TRUE(ns_->List(directory, cookie, [&](const DirectoryEntry& entry) {
      out.push_back(entry);
      return out.size() < count;
    }));
    return out;
  }
};

TEST_F(ListTest, DotsComeFirst) {
  const Ino dir = Dir(kRootIno, "d");
  const Ino file = File(dir, "f");
  const auto all = Entries(dir, 0);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, ".");
  EXPECT_EQ(all[0].ino, dir);
  EXPECT_EQ(all[0].cookie, 1u);
  EXPECT_EQ(all[1].name, "..");
  EXPECT_EQ(all[1].ino, kRootIno);
  EXPECT_EQ(all[1].cookie, 2u);
  EXPECT_EQ(all[2].ino, file);
  EXPECT_EQ(all[2].type, uint32_t{S_IFREG});
  EXPECT_EQ(Entries(dir, 1).size(), 2u);
  EXPECT_EQ(Entries(dir, all[2].cookie).size(), 0u);
  EXPECT_EQ(Entries(dir, UINT64_MAX).size(), 0u);
  EXPECT_EQ(CodeOf(ns_->List(file, 0, [](const DirectoryEntry&) { return true; })), ENOTDIR);
}

TEST_F(ListTest, NoneIsMissedOrGivenTwiceWhileNamesComeAndGo) {
  const Ino dir = Dir(kRootIno, "d");
  std::set<std::string> stay;
  for (int i = 0; i < 300; ++i) {
    File(dir, "gone" + std::to_string(i));
    File(dir, "stay" + std::to_string(i));
    stay.insert("stay" + std::to_string(i));
  }
  std::map<std::string, int> seen;
  uint64_t cookie = 0;
  int round = 0;
  for (auto page = Page(dir, cookie, 7); !page.empty(); page = Page(dir, cookie, 7), ++round) {
    for (const DirectoryEntry& entry : page) ++seen[entry.name];
    cookie = page.back().cookie;
    if (round < 300) {
      ASSERT_TRUE(ns_->Unlink(dir, "gone" + std::to_string(round)));
      File(dir, "new" + std::to_string(round));
    }
  }
  for (const std::string& name : stay) EXPECT_EQ(seen[name], 1) << name;
  for (const auto& [name, times] : seen) EXPECT_EQ(times, 1) << name;
}

TEST_F(ListTest, CookiesAreTheSameAfterReopen) {
  for (int i = 0; i < 50; ++i) File(kRootIno, std::to_string(i));
  const auto before = Entries(kRootIno);
  Reopen();
  const auto after = Entries(kRootIno);
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].cookie, after[i].cookie);
    EXPECT_EQ(before[i].name, after[i].name);
  }
}

TEST_F(ListTest, AttributesComeWithEachEntry) {
  const Ino dir = Dir(kRootIno, "d");
  for (int i = 0; i < 1000; ++i) File(dir, std::to_string(i));
  size_t count = 0;
  ASSERT_TRUE(ns_->ListWithAttributes(
      dir, 0, [&](const DirectoryEntry& entry, const Attributes& attributes) {
        EXPECT_EQ(entry.ino, attributes.ino);
        EXPECT_EQ(entry.type, attributes.mode & S_IFMT);
        ++count;
        return true;
      }));
  EXPECT_EQ(count, 1002u);
  count = 0;
  ASSERT_TRUE(ns_->ListWithAttributes(
      dir, 0, [&](const DirectoryEntry&, const Attributes&) { return ++count < 40; }));
  EXPECT_EQ(count, 40u);
}

TEST_F(ListTest, EntryWhoseInodeIsGoneIsLeftOut) {
  const Ino file = File(kRootIno, "a");
  File(kRootIno, "b");
  DeleteRow(Family::kInode, InodeKey(file));
  std::vector<std::string> names;
  ASSERT_TRUE(ns_->ListWithAttributes(kRootIno, kDotDotCookie,
                                      [&](const DirectoryEntry& entry, const Attributes&) {
                                        names.push_back(entry.name);
                                        return true;
                                      }));
  EXPECT_EQ(names, std::vector<std::string>{"b"});
}

}  // namespace
}  // namespace dedupfs
