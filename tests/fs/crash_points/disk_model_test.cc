// The simulated disk forgets exactly what POSIX lets a disk forget.
#include "tests/support/disk_model.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

using Kind = DiskCall::Kind;

class DiskModelTest : public ::testing::Test {
 protected:
  // A synced file "a" with 2,000 bytes of 'o', of which 'n's then take the place, unsynced.
  void SetUp() override {
    model_.Apply({.kind = Kind::kCreate, .path = "a"});
    model_.Apply({.kind = Kind::kWrite, .file = 1, .data = std::string(2000, 'o')});
    model_.Apply({.kind = Kind::kSync, .file = 1});
    model_.Apply({.kind = Kind::kSyncDir});
    model_.Apply({.kind = Kind::kWrite, .file = 1, .data = std::string(3000, 'n')});
  }

  std::string After(Loss loss, const std::string& name) {
    const std::string directory = temp_.Join("disk");
    model_.WriteTo(directory, loss, random_);
    if (!std::filesystem::exists(directory + "/" + name)) return "gone";
    std::ifstream in(directory + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TempDir temp_;
  Random random_{TestSeed()};
  DiskModel model_;
};

TEST_F(DiskModelTest, UnsyncedBytesGoAndSyncedOnesStay) {
  EXPECT_EQ(After(Loss::kNothing, "a"), std::string(3000, 'n'));
  EXPECT_EQ(After(Loss::kUnsynced, "a"), std::string(2000, 'o'));
  model_.Apply({.kind = Kind::kSync, .file = 1});
  EXPECT_EQ(After(Loss::kUnsynced, "a"), std::string(3000, 'n'));
}

TEST_F(DiskModelTest, TornBytesAreWholeSectorsOldOrNew) {
  std::set<std::string> seen;
  for (int round = 0; round < 200; ++round) {
    const std::string bytes = After(Loss::kTorn, "a");
    ASSERT_GE(bytes.size(), 2000u);
    for (size_t at = 0; at < bytes.size(); at += DiskModel::kSector) {
      const std::string sector = bytes.substr(at, DiskModel::kSector);
      const bool old = sector.find('n') == std::string::npos;
      ASSERT_TRUE(old || sector.find_first_not_of('n') == std::string::npos) << at;
    }
    seen.insert(bytes);
  }
  EXPECT_GT(seen.size(), 10u);
}

TEST_F(DiskModelTest, NamesNeedTheSyncOfTheirDirectory) {
  model_.Apply({.kind = Kind::kCreate, .path = "b"});
  model_.Apply({.kind = Kind::kSync, .file = 2});
  model_.Apply({.kind = Kind::kRename, .path = "a", .to = "c"});
  EXPECT_EQ(After(Loss::kUnsynced, "b"), "gone");
  EXPECT_EQ(After(Loss::kUnsynced, "c"), "gone");
  EXPECT_EQ(After(Loss::kUnsynced, "a"), std::string(2000, 'o'));
  model_.Apply({.kind = Kind::kSyncDir});
  EXPECT_EQ(After(Loss::kUnsynced, "b"), "");
  EXPECT_EQ(After(Loss::kUnsynced, "a"), "gone");
}

TEST_F(DiskModelTest, AfterAFailedSyncNothingMoreOfTheFileIsEverDurable) {
  model_.Apply({.kind = Kind::kLostSync, .file = 1});
  model_.Apply({.kind = Kind::kSync, .file = 1});
  EXPECT_EQ(After(Loss::kUnsynced, "a"), std::string(2000, 'o'));
}

}  // namespace
}  // namespace dedupfs
