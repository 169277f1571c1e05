// Each file of a store cut, or missing, and then repaired.
#include <filesystem>

#include "tests/fs/repair/damage_fixture.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

using RepairDamageTest = DamageTest;

TEST_F(RepairDamageTest, ACutOfEachFileHarmsOnlyWhatIsNamed) {
  Random random(TestSeed());
  for (const std::string& file : files_) {
    if (KindOf(file) == "settings" || KindOf(file) == "format") continue;
    SCOPED_TRACE(file);
    Restore();
    const std::string path = directory() + "/" + file;
    files::resize_file(path, random.Below(files::file_size(path)));
    ExpectRepairWorks();
    if (HasFailure()) return;
  }
}

TEST_F(RepairDamageTest, EachFileThatIsMissingHarmsOnlyWhatIsNamed) {
  for (const std::string& file : files_) {
    if (KindOf(file) == "settings" || KindOf(file) == "format") continue;
    SCOPED_TRACE(file);
    Restore();
    files::remove(directory() + "/" + file);
    ExpectRepairWorks();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace dedupfs
