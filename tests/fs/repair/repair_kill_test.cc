// A repair that ends anywhere leaves the store as it was, or repaired.
#include <cerrno>
#include <filesystem>

#include "tests/fs/repair/repair_fixture.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

using RepairKillTest = RepairTest;

TEST_F(RepairKillTest, EndingAtEachStepLeavesAStoreThatIsAsItWasOrRepaired) {
  DeleteFamily(Family::kFingerprint);
  Delete(Family::kMeta, "totals");
  const auto problems = CheckLines();
  ASSERT_FALSE(problems.empty());
  bool ended = true;
  for (int step = 1; ended; ++step) {
    ASSERT_LT(step, 50);
    ended = false;
    int at = 0;
    RepairHooks hooks;
    hooks.before_step = [&](const std::string& name) -> Status {
      if (++at < step) return Ok();
      ended = true;
      return Fail(EINTR, "killed before " + name);
    };
    const auto report = RepairStore(directory(), true, hooks);
    EXPECT_EQ(report.has_value(), !ended);
    const auto now = CheckLines();
    if (now.empty()) continue;  // repaired: only what was not needed any more is left
    EXPECT_EQ(now, problems) << "step " << step;
  }
  ExpectAsBefore();
  EXPECT_FALSE(files::exists(directory() + "/db.repair"));
  EXPECT_FALSE(files::exists(directory() + "/db.repair-index"));
}

TEST_F(RepairKillTest, ADatabaseThatWasPutAsideIsFoundWhereNoOtherIs) {
  // As a kill leaves it on a file system that cannot exchange two names.
  files::rename(Database(), directory() + "/db.damaged-1");
  files::create_directory(directory() + "/db.repair");
  Repair();
  ExpectAsBefore();
}

TEST_F(RepairKillTest, TheOldDatabaseIsKeptUnderANewNameEachTime) {
  DeleteFamily(Family::kPack);
  EXPECT_EQ(Repair().kept, directory() + "/db.damaged-1");
  DeleteFamily(Family::kFingerprint);
  EXPECT_EQ(Repair().kept, directory() + "/db.damaged-2");
  EXPECT_TRUE(files::exists(directory() + "/db.damaged-1/CURRENT"));
  ExpectAsBefore();
}

}  // namespace
}  // namespace dedupfs
