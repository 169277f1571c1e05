#include "fs/content/choose_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"

namespace dedupfs {
namespace {

constexpr uint32_t kAverage = 64 << 10;

ChosenPolicy Choose(std::string_view rule, std::string_view name, std::string_view head) {
  return ChoosePolicy(kAverage, rule, name, AsBytes(head));
}

void ExpectChosen(const ChosenPolicy& chosen, ChunkingKind kind, uint32_t average,
                  PolicyReason reason) {
  EXPECT_EQ(chosen.policy.kind, kind);
  EXPECT_EQ(chosen.policy.average, average);
  EXPECT_EQ(chosen.reason, reason);
}

TEST(ChoosePolicyTest, PlainFilesAreChunkedByContentInTheStoresAverage) {
  for (const char* name : {"", "photo.jpg", "img", "sqlite", "disk.img.gz", "a.image"}) {
    SCOPED_TRACE(name);
    ExpectChosen(Choose("", name, "plain text"), ChunkingKind::kContentDefined, kAverage,
                 PolicyReason::kDefault);
  }
}

TEST(ChoosePolicyTest, NamesOfImagesAndDatabasesCountInAnyCase) {
  for (const char* name : {"disk.img", "DISK.IMG", "vm.QCow2", ".raw", "x.y.vmdk", "b.sqlite3"}) {
    SCOPED_TRACE(name);
    ExpectChosen(Choose("", name, ""), ChunkingKind::kFixed, 4096, PolicyReason::kName);
  }
}

TEST(ChoosePolicyTest, MagicCountsWhereItIsWholeAndInItsPlace) {
  const std::string sqlite("SQLite format 3\0", 16);
  const std::string virtual_box = std::string(0x40, 'x') + "\x7f\x10\xda\xbe";
  for (const std::string& head : {sqlite, std::string("QFI\xfb"), virtual_box}) {
    ExpectChosen(Choose("", "data", head), ChunkingKind::kFixed, 4096, PolicyReason::kMagic);
    ExpectChosen(Choose("", "data", head + "more"), ChunkingKind::kFixed, 4096,
                 PolicyReason::kMagic);
    ExpectChosen(Choose("", "data", head.substr(0, head.size() - 1)), ChunkingKind::kContentDefined,
                 kAverage, PolicyReason::kDefault);
    ExpectChosen(Choose("", "data", "x" + head), ChunkingKind::kContentDefined, kAverage,
                 PolicyReason::kDefault);
  }
}

TEST(ChoosePolicyTest, LibraryRuleComesBeforeNameAndMagic) {
  ExpectChosen(Choose("content", "disk.img", "QFI\xfb"), ChunkingKind::kContentDefined, kAverage,
               PolicyReason::kLibrary);
  ExpectChosen(Choose("content:16384", "disk.img", ""), ChunkingKind::kContentDefined, 16384,
               PolicyReason::kLibrary);
  ExpectChosen(Choose("fixed", "a.txt", ""), ChunkingKind::kFixed, 4096, PolicyReason::kLibrary);
  ExpectChosen(Choose("fixed:131072", "a.txt", ""), ChunkingKind::kFixed, 131072,
               PolicyReason::kLibrary);
}

TEST(ChoosePolicyTest, RuleThatIsAutoOrNotUnderstoodLeavesTheChoiceToTheFile) {
  for (const char* rule :
       {"auto", "", "fixed:", "fixed:4095", "fixed:262144", "fixed:4096x", "content:4096",
        "content:-1", "content:99999999999", "Fixed", "fixed "}) {
    SCOPED_TRACE(rule);
    ExpectChosen(Choose(rule, "disk.img", ""), ChunkingKind::kFixed, 4096, PolicyReason::kName);
    ExpectChosen(Choose(rule, "a.txt", ""), ChunkingKind::kContentDefined, kAverage,
                 PolicyReason::kDefault);
  }
  EXPECT_TRUE(ParseLibraryRule(kAverage, "auto").has_value());
  EXPECT_FALSE(ParseLibraryRule(kAverage, "auto")->has_value());
  EXPECT_FALSE(ParseLibraryRule(kAverage, "fixed:4095").has_value());
}

TEST(ChoosePolicyTest, DescriptionNamesSizeAndReason) {
  EXPECT_EQ(DescribePolicy({ChunkingKind::kFixed, 4096}, PolicyReason::kMagic),
            "fixed:4096 (magic)");
  EXPECT_EQ(DescribePolicy({ChunkingKind::kContentDefined, 32768}, PolicyReason::kDefault),
            "content:32768 (default)");
}

}  // namespace
}  // namespace dedupfs
