#include "tests/fs/repair/damage_fixture.h"

#include <algorithm>
#include <filesystem>

namespace dedupfs {

namespace files = std::filesystem;

DamageTest::DamageTest() : saved_(directory() + ".saved") {
  files::copy(directory(), saved_, files::copy_options::recursive);
  for (const auto& entry : files::recursive_directory_iterator(directory())) {
    if (!entry.is_regular_file() || entry.file_size() == 0) continue;
    const std::string file = files::relative(entry.path(), directory());
    if (!KindOf(file).empty()) files_.push_back(file);
  }
  std::sort(files_.begin(), files_.end());  // a seed chooses the same in each run
}

DamageTest::~DamageTest() { files::remove_all(saved_); }

std::string DamageTest::KindOf(const std::string& file) {
  const files::path path(file);
  const std::string name = path.filename();
  if (path.extension() == ".pack") return "pack";
  if (path.extension() == ".sst") return "table";
  if (path.extension() == ".log" && file.starts_with("db/")) return "log";
  if (name.starts_with("MANIFEST")) return "MANIFEST";
  if (name.starts_with("OPTIONS")) return "OPTIONS";
  if (name == "dedupfs.toml") return "settings";
  if (name == "CURRENT" || name == "IDENTITY" || name == "format" || name == "lock") return name;
  return "";  // logs for people
}

void DamageTest::Restore() {
  files::remove_all(directory());
  files::copy(saved_, directory(), files::copy_options::recursive);
}

void DamageTest::ExpectRepairWorks() {
  Repair();
  ExpectOnlyNamedDiffer();
  // What the first one made is what the second one finds.
  const RepairReport second = Repair();
  EXPECT_TRUE(second.mended.empty()) << second.mended.front().name;
  EXPECT_FALSE(second.database_damaged);
}

std::optional<DamageTest::ReadResult> DamageTest::ReadDamaged() {
  auto opened = FileSystem::Open(directory(), {.read_only = true});
  if (!opened) return std::nullopt;
  ReadResult result;
  result.tree = ReadTree(**opened, &result.failures);
  EXPECT_TRUE(IsOk((*opened)->Close()));
  return result;
}

bool DamageTest::CheckFindsSomething() {
  bool found = false;
  const auto check = FileSystem::Check(
      directory(), [&found](const std::string&) { found = true; },
      [](const ChunkStore::CheckProgress&) {});
  return found || !check;
}

}  // namespace dedupfs
