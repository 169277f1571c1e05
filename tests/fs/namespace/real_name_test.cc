// Names that differ in case only.
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fs/namespace/case_fold.h"
#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class RealNameTest : public NamespaceFixture {
 protected:
  std::optional<std::string> Real(Ino directory, std::string_view name) {
    auto found = ns_->RealName(directory, name);
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found ? *found : std::nullopt;
  }
};

TEST(FoldCaseTest, SimpleMappingsJoinWhatDiffersInCase) {
  EXPECT_EQ(FoldCase("Makefile.IN"), "makefile.in");
  EXPECT_EQ(FoldCase("GRÖẞE ÀÉ"), FoldCase("grÖße àé"));
  EXPECT_EQ(FoldCase("ΟΔΟΣ"), FoldCase("οδος"));
  EXPECT_EQ(FoldCase("ДОМ"), FoldCase("дом"));
  EXPECT_EQ(FoldCase("Ǆ"), FoldCase("ǅ"));
  EXPECT_EQ(FoldCase("\u212A"), "k");
  EXPECT_EQ(FoldCase("𐐀"), FoldCase("𐐨"));
}

TEST(FoldCaseTest, WhatDiffersInMoreThanCaseStaysApart) {
  EXPECT_NE(FoldCase("straße"), FoldCase("strasse"));
  EXPECT_NE(FoldCase("e\u0301"), FoldCase("\u00e9"));
  EXPECT_NE(FoldCase("a"), FoldCase("à"));
}

TEST(FoldCaseTest, WhatIsNoUtf8IsKept) {
  EXPECT_EQ(FoldCase("A\xff\xc3"), "a\xff\xc3");
  EXPECT_EQ(FoldCase("\xc3(B"), "\xc3(b");
  EXPECT_EQ(FoldCase(""), "");
}

TEST_F(RealNameTest, FindsTheStoredNameInAnyCase) {
  const Ino dir = Dir(kRootIno, "d");
  File(dir, "Ünïcode ФАЙЛ.TXT");
  File(kRootIno, "other");
  EXPECT_EQ(Real(dir, "üNÏCODE файл.txt"), "Ünïcode ФАЙЛ.TXT");
  EXPECT_EQ(Real(dir, "OTHER"), std::nullopt);
  EXPECT_EQ(Real(kRootIno, "D"), "d");
  ASSERT_TRUE(ns_->Unlink(dir, "Ünïcode ФАЙЛ.TXT"));
  EXPECT_EQ(Real(dir, "ünïcode файл.txt"), std::nullopt);
}

TEST_F(RealNameTest, TheExactNameIsPreferred) {
  File(kRootIno, "readme");
  File(kRootIno, "README");
  File(kRootIno, "ReadMe");
  for (const char* const name : {"readme", "README", "ReadMe"})
    EXPECT_EQ(Real(kRootIno, name), name);
  const auto other = Real(kRootIno, "rEADmE");
  ASSERT_TRUE(other);
  EXPECT_EQ(FoldCase(*other), "readme");
}

TEST_F(RealNameTest, WhatChangesAfterTheFirstScanIsSeen) {
  const Ino dir = Dir(kRootIno, "d");
  const Ino other = Dir(kRootIno, "other");
  const Ino file = File(dir, "First");
  EXPECT_EQ(Real(dir, "nothing"), std::nullopt) << "now the directory is remembered";
  File(dir, "Second");
  EXPECT_EQ(Real(dir, "SECOND"), "Second");
  ASSERT_TRUE(ns_->Unlink(dir, "Second"));
  EXPECT_EQ(Real(dir, "SECOND"), std::nullopt);
  File(dir, "seCond");
  EXPECT_EQ(Real(dir, "SECOND"), "seCond");
  ASSERT_TRUE(ns_->Link(file, dir, "Linked"));
  EXPECT_EQ(Real(dir, "linked"), "Linked");
  ASSERT_TRUE(ns_->Rename(dir, "First", dir, "Renamed", 0));
  EXPECT_EQ(Real(dir, "first"), std::nullopt);
  EXPECT_EQ(Real(dir, "renamed"), "Renamed");
  ASSERT_TRUE(ns_->Rename(dir, "Renamed", other, "Gone", 0));
  EXPECT_EQ(Real(dir, "renamed"), std::nullopt);
  EXPECT_EQ(Real(other, "gone"), "Gone");
  File(other, "Swapped");
  ASSERT_TRUE(ns_->Rename(dir, "Linked", other, "Swapped", RENAME_EXCHANGE));
  EXPECT_EQ(Real(dir, "linked"), "Linked");
  EXPECT_EQ(Real(other, "swapped"), "Swapped");
  Dir(dir, "Below");
  EXPECT_EQ(Real(dir, "below"), "Below");
}

TEST_F(RealNameTest, ADirectoryThatIsRemovedIsNotRemembered) {
  const Ino dir = Dir(kRootIno, "d");
  EXPECT_EQ(Real(dir, "x"), std::nullopt);
  ASSERT_TRUE(ns_->RemoveDirectory(kRootIno, "d"));
  EXPECT_EQ(Real(kRootIno, "D"), std::nullopt);
  const Ino again = Dir(kRootIno, "d");
  File(again, "X");
  EXPECT_EQ(Real(again, "x"), "X");
}

// Whoever has made a file finds it in another case, whatever others ask and make meanwhile.
TEST_F(RealNameTest, NobodyMissesWhatHeHasMadeWhileOthersScan) {
  const Ino dir = Dir(kRootIno, "d");
  constexpr int kThreads = 4;
  constexpr int kFiles = 60;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kFiles; ++i) {
        const std::string name = "File" + std::to_string(t) + "." + std::to_string(i);
        EXPECT_EQ(Real(dir, FoldCase(name)), std::nullopt);
        File(dir, name);
        EXPECT_EQ(Real(dir, FoldCase(name)), name);
        if (i % 3 != 0) continue;
        EXPECT_TRUE(ns_->Unlink(dir, name));
        EXPECT_EQ(Real(dir, FoldCase(name)), std::nullopt);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(RealNameTest, OnlyDirectoriesHaveEntries) {
  const Ino file = File(kRootIno, "f");
  EXPECT_EQ(CodeOf(ns_->RealName(file, "x")), ENOTDIR);
  EXPECT_EQ(CodeOf(ns_->RealName(kRootIno, std::string(256, 'x'))), ENAMETOOLONG);
  EXPECT_EQ(CodeOf(ns_->RealName(999'999, "x")), ESTALE);
  EXPECT_EQ(Real(kRootIno, ".."), "..");
}

}  // namespace
}  // namespace dedupfs
