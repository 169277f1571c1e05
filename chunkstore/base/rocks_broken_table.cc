#include "chunkstore/base/rocks_broken_table.h"

#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table_properties.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "chunkstore/base/rocks_options.h"

namespace dedupfs {
namespace {

using Wide = unsigned __int128;

constexpr size_t kBatchRows = 4096;
constexpr size_t kWideBytes = sizeof(Wide);

// The first bytes of a key as a number, and back.
Wide Number(std::string_view key) {
  Wide number = 0;
  for (size_t i = 0; i < kWideBytes; ++i) {
    number = (number << 8) | (i < key.size() ? static_cast<uint8_t>(key[i]) : 0);
  }
  return number;
}

std::string KeyOf(Wide number) {
  std::string key(kWideBytes, '\0');
  for (size_t i = kWideBytes; i-- > 0; number >>= 8) key[i] = static_cast<char>(number & 0xFF);
  return key;
}

std::string After(std::string_view key) { return std::string(key) + '\0'; }

class Filler {
 public:
  Filler(std::string path, BrokenTable table, const std::set<Family>& deleting, Kv& kv,
         uint64_t& rows, std::vector<SalvageGap>& gaps)
      : path_(std::move(path)),
        table_(std::move(table)),
        deleting_(deleting),
        kv_(kv),
        rows_(rows),
        gaps_(gaps) {}

  Status Run();

 private:
  void Gap(std::string from, std::string to, const std::string& what);
  Status AddRows();
  // Has `at` go on behind what cannot be read; false where nothing more can.
  static bool SkipDamage(rocksdb::SstFileReader& reader, std::string_view last,
                         std::unique_ptr<rocksdb::Iterator>& at);

  const std::string path_;
  BrokenTable table_;
  const std::set<Family>& deleting_;
  Kv& kv_;
  uint64_t& rows_;
  std::vector<SalvageGap>& gaps_;
  std::vector<std::pair<std::string, std::string>> read_;
  std::string first_added_, last_added_;  // of the rows that no other table has
};

void Filler::Gap(std::string from, std::string to, const std::string& what) {
  if (from < table_.smallest) from = table_.smallest;
  if (!table_.largest.empty() && (to.empty() || to > After(table_.largest))) {
    to = After(table_.largest);
  }
  const std::string name = std::filesystem::path(path_).filename().string();
  gaps_.push_back({table_.family, std::move(from), std::move(to), "table " + name + ": " + what});
}

// The next key that can be read: in growing steps, then by halves. Each probe has an iterator of
// its own: RocksDB 7.8's takes a block for the one before it where a seek into a damaged block came
// in between, and then gives the error of that one for good.
bool Filler::SkipDamage(rocksdb::SstFileReader& reader, std::string_view last,
                        std::unique_ptr<rocksdb::Iterator>& at) {
  const auto readable_from = [&](Wide key) {
    at.reset(reader.NewIterator(rocksdb::ReadOptions()));
    at->Seek(KeyOf(key));
    return at->status().ok();
  };
  Wide bad = Number(last);
  Wide good = 0;
  for (Wide step = 1; good == 0; step *= 2) {
    if (step == 0 || bad + step < bad) return false;
    if (readable_from(bad + step)) {
      good = bad + step;
      bad += step / 2;
    }
  }
  while (good - bad > 1) {
    const Wide middle = bad + (good - bad) / 2;
    (readable_from(middle) ? good : bad) = middle;
  }
  return readable_from(good);
}

Status Filler::Run() {
  const KvOptions kv_options;
  const rocksdb::Options options(RocksDbOptions(kv_options), RocksFamilies(kv_options)[0].options);
  rocksdb::SstFileReader reader(options);
  if (const rocksdb::Status opened = reader.Open(path_); !opened.ok()) {
    Gap("", "", opened.ToString());
    return Ok();
  }
  const auto properties = reader.GetTableProperties();
  if (!table_.family && properties) table_.family = FamilyOfName(properties->column_family_name);
  if (!table_.family) return Ok();  // RocksDB's own
  if (!properties || properties->num_deletions != 0) {
    Gap("", "", "what it deleted may be back");  // an iterator over one table does not tell
  }
  std::unique_ptr<rocksdb::Iterator> at(reader.NewIterator(rocksdb::ReadOptions()));
  std::string last;  // the last key that was read
  at->SeekToFirst();
  while (true) {
    for (; at->Valid(); at->Next()) {
      last = at->key().ToString();
      read_.emplace_back(last, at->value().ToString());
      if (read_.size() >= kBatchRows) DEDUPFS_RETURN_IF_ERROR(AddRows());
    }
    if (at->status().ok()) break;
    const std::string what = at->status().ToString();
    const bool more = SkipDamage(reader, last, at);
    Gap(last, more && at->Valid() ? at->key().ToString() : "", what);
    if (!more) break;
  }
  DEDUPFS_RETURN_IF_ERROR(AddRows());
  if (!last_added_.empty() && deleting_.contains(*table_.family)) {
    Gap(first_added_, After(last_added_), "what was deleted since may be back");
  }
  return Ok();
}

Status Filler::AddRows() {
  std::vector<std::string_view> keys;
  keys.reserve(read_.size());
  for (const auto& row : read_) keys.emplace_back(row.first);
  DEDUPFS_ASSIGN_OR_RETURN(const auto known, kv_.MultiGet(*table_.family, keys));
  Batch batch;
  for (size_t i = 0; i < read_.size(); ++i) {
    const auto& [key, value] = read_[i];
    if (known[i] == value || (known[i] && table_.bottom)) continue;
    // Tables of the first level are the newest, but nobody knows which of two of them is newer.
    if (known[i]) {
      Gap(key, After(key), "two rows of one key, of which one is older");
      if (table_.level != 0) continue;
    } else {
      if (last_added_.empty()) first_added_ = key;
      last_added_ = key;
    }
    batch.Put(*table_.family, key, value);
    ++rows_;
  }
  read_.clear();
  return kv_.Write(batch, Durability::kBuffered);
}

}  // namespace

std::optional<Family> FamilyOfName(std::string_view name) {
  for (size_t i = 0; i < kFamilyCount; ++i) {
    if (FamilyName(static_cast<Family>(i)) == name) return static_cast<Family>(i);
  }
  return std::nullopt;
}

std::set<Family> FamiliesWithDeletions(const std::string& directory) {
  std::set<Family> found;
  const KvOptions kv_options;
  const rocksdb::Options options(RocksDbOptions(kv_options), RocksFamilies(kv_options)[0].options);
  std::error_code code;
  for (std::filesystem::directory_iterator entry(directory, code);
       !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
    if (entry->path().extension() != ".sst") continue;
    rocksdb::SstFileReader reader(options);
    if (!reader.Open(entry->path().string()).ok()) continue;
    const auto properties = reader.GetTableProperties();
    if (!properties || properties->num_deletions == 0) continue;
    if (const auto family = FamilyOfName(properties->column_family_name)) found.insert(*family);
  }
  return found;
}

Status FillFromTable(const std::string& path, const BrokenTable& table,
                     const std::set<Family>& deleting, Kv& kv, uint64_t& rows,
                     std::vector<SalvageGap>& gaps) {
  return Filler(path, table, deleting, kv, rows, gaps).Run();
}

}  // namespace dedupfs
