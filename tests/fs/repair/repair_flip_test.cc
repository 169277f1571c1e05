// Flipped bits and cuts at random, anywhere in the files of a store: what is read before a repair
// is right or an error, and after it only what is named differs. ROUNDS in the environment sets how
// many; a table of them by kind of file is printed at the end.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <optional>

#include "tests/fs/repair/damage_fixture.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

constexpr int kRounds = 12;  // a second or two where nothing else runs
constexpr uint64_t kFlipsForACut = 4;
constexpr uint64_t kPackRounds = 4;

class RepairFlipTest : public DamageTest {
 protected:
  // Of one kind of file.
  struct Counts {
    uint64_t flips = 0;
    uint64_t cuts = 0;
    uint64_t not_opened = 0;   // the store says so when it is opened
    uint64_t read_failed = 0;  // a name or a file cannot be read
    uint64_t checked = 0;      // nothing fails, and the check names it
    uint64_t repaired = 0;     // only the repair mends something
    uint64_t no_meaning = 0;   // nothing is wrong with what is read, checked or repaired
    uint64_t whole_after = 0;  // after the repair every path is as it was
  };

  // Any file; one in kPackRounds a pack, since these are few and have the most bytes.
  std::string Choose(Random& random) const;
  // What was done, for the traces.
  std::string Damage(Random& random, const std::string& file, Counts& counts);
  // Reads everything, without a repair: no byte is wrong. Tells how the damage is seen.
  void SeeDamage(Counts& counts);
  void RepairIt(const std::string& kind, Counts& counts);
  void PrintTable() const;

  std::map<std::string, Counts> counts_;
  bool seen_ = false;
};

std::string RepairFlipTest::Choose(Random& random) const {
  const bool pack = random.OneIn(kPackRounds);
  std::string file;
  do {
    file = files_[random.Below(files_.size())];
  } while (pack && KindOf(file) != "pack");
  return file;
}

std::string RepairFlipTest::Damage(Random& random, const std::string& file, Counts& counts) {
  const std::string path = directory() + "/" + file;
  const uint64_t offset = random.Below(files::file_size(path));
  if (random.OneIn(kFlipsForACut + 1)) {
    ++counts.cuts;
    files::resize_file(path, offset);
    return file + " cut to " + std::to_string(offset);
  }
  ++counts.flips;
  const auto bit = static_cast<char>(1 << random.Below(8));
  std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const auto byte = static_cast<char>(stream.get() ^ bit);
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(byte);
  return file + " offset " + std::to_string(offset) + " bit " + std::to_string(bit);
}

void RepairFlipTest::SeeDamage(Counts& counts) {
  seen_ = true;
  const std::optional<ReadResult> read = ReadDamaged();
  if (!read) {
    ++counts.not_opened;
    return;
  }
  for (const auto& [path, node] : read->tree) {
    const auto before = before_.find(path);
    ASSERT_NE(before, before_.end()) << path << " was not there";
    ASSERT_EQ(node.mode & S_IFMT, before->second.mode & S_IFMT) << path;
    if (node.readable) {
      ASSERT_TRUE(node.content == before->second.content) << path << " has other bytes";
    } else {
      ASSERT_TRUE(before->second.content.starts_with(node.content)) << path << " has other bytes";
    }
  }
  if (read->failures != 0) {
    ++counts.read_failed;
    return;
  }
  ASSERT_EQ(read->tree.size(), before_.size()) << "a name is gone without an error";
  if (CheckFindsSomething()) {
    ++counts.checked;
    return;
  }
  seen_ = false;
}

void RepairFlipTest::RepairIt(const std::string& kind, Counts& counts) {
  if (kind == "settings" || kind == "format") {  // they are the operator's to restore
    files::copy_file(saved_ + "/" + (kind == "format" ? "format" : "dedupfs.toml"),
                     directory() + "/" + (kind == "format" ? "format" : "dedupfs.toml"),
                     files::copy_options::overwrite_existing);
    Repair();
    EXPECT_FALSE(report_.needed());
  } else {
    Repair();
  }
  const RepairReport first = report_;
  const bool lost = !losses_.empty();
  if (!seen_) ++(first.needed() || lost ? counts.repaired : counts.no_meaning);
  const size_t differ = ExpectOnlyNamedDiffer();
  if (differ == 0) ++counts.whole_after;
  if (!first.needed()) {  // as it was, then: nothing that anyone meets is damaged
    EXPECT_FALSE(lost) << losses_.front();
    return;
  }
  if (!lost) {
    EXPECT_EQ(CheckLines(), std::vector<std::string>());
  }
  const RepairReport second = Repair();
  EXPECT_FALSE(second.needed()) << (second.mended.empty() ? "" : second.mended.front().name);
}

void RepairFlipTest::PrintTable() const {
  std::printf("%-9s %6s %6s | %6s %6s %6s %6s %6s | %6s\n", "file", "flips", "cuts", "open", "read",
              "check", "repair", "none", "whole");
  for (const auto& [kind, of] : counts_) {
    std::printf("%-9s %6lu %6lu | %6lu %6lu %6lu %6lu %6lu | %6lu\n", kind.c_str(), of.flips,
                of.cuts, of.not_opened, of.read_failed, of.checked, of.repaired, of.no_meaning,
                of.whole_after);
  }
}

TEST_F(RepairFlipTest, NoWrongByteIsReadAndARepairHarmsOnlyWhatItNames) {
  const char* const rounds = std::getenv("ROUNDS");
  const int count = rounds != nullptr ? std::atoi(rounds) : kRounds;
  Random random(TestSeed());
  for (int round = 0; round < count && !HasFailure(); ++round) {
    Restore();
    const std::string file = Choose(random);
    const std::string kind = KindOf(file);
    Counts& counts = counts_[kind];
    SCOPED_TRACE("round " + std::to_string(round) + ": " + Damage(random, file, counts));
    SeeDamage(counts);
    if (!HasFailure()) RepairIt(kind, counts);
    if (round % 100 == 99) std::fprintf(stderr, "%d rounds\n", round + 1);
  }
  PrintTable();
}

}  // namespace
}  // namespace dedupfs
