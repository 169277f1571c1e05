// Flipped bits and truncations anywhere in the files of a store.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "tests/fs/repair/repair_fixture.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

class RepairDamageTest : public RepairTest {
 protected:
  RepairDamageTest() : saved_(directory() + ".saved") {
    files::copy(directory(), saved_, files::copy_options::recursive);
    for (const auto& entry : files::recursive_directory_iterator(directory())) {
      const std::string extension = entry.path().extension();
      const std::string name = entry.path().filename();
      if (!entry.is_regular_file() || entry.file_size() == 0) continue;
      const bool counts = extension == ".sst" || extension == ".pack" || extension == ".log" ||
                          name.starts_with("MANIFEST") || name == "CURRENT";
      if (counts) files_.push_back(files::relative(entry.path(), directory()));
    }
  }
  ~RepairDamageTest() override { files::remove_all(saved_); }

  void Restore() {
    files::remove_all(directory());
    files::copy(saved_, directory(), files::copy_options::recursive);
  }

  void ExpectRepairWorks() {
    Repair();
    ExpectOnlyNamedDiffer();
    // What the first one made is what the second one finds.
    const RepairReport second = Repair();
    EXPECT_TRUE(second.mended.empty()) << second.mended.front().name;
    EXPECT_FALSE(second.database_damaged);
  }

  const std::string saved_;
  std::vector<std::string> files_;
};

TEST_F(RepairDamageTest, ACutOfEachFileHarmsOnlyWhatIsNamed) {
  Random random(TestSeed());
  for (const std::string& file : files_) {
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
    SCOPED_TRACE(file);
    Restore();
    files::remove(directory() + "/" + file);
    ExpectRepairWorks();
    if (HasFailure()) return;
  }
}

TEST_F(RepairDamageTest, AFlippedBitAnywhereHarmsOnlyWhatIsNamed) {
  const char* const rounds = std::getenv("ROUNDS");
  const int count = rounds != nullptr ? std::atoi(rounds) : 200;
  Random random(TestSeed());
  for (int round = 0; round < count; ++round) {
    Restore();
    const std::string& name = files_[random.Below(files_.size())];
    const std::string path = directory() + "/" + name;
    const uint64_t offset = random.Below(files::file_size(path));
    const auto bit = static_cast<char>(1 << random.Below(8));
    SCOPED_TRACE("round " + std::to_string(round) + ": " + name + " offset " +
                 std::to_string(offset) + " bit " + std::to_string(bit));
    {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(offset));
      const auto byte = static_cast<char>(file.get() ^ bit);
      file.seekp(static_cast<std::streamoff>(offset));
      file.put(byte);
    }
    ExpectRepairWorks();
    if (HasFailure()) return;
  }
  std::cerr << count << " flips\n";
}

}  // namespace
}  // namespace dedupfs
