#include "tests/fs/repair/repair_fixture.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "chunkstore/base/bytes.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

// `failures` is null where none is expected.
void NoteFailure(uint64_t* failures, const std::string& path) {
  if (failures != nullptr) {
    ++*failures;
  } else {
    ADD_FAILURE() << path << " cannot be looked up or listed";
  }
}

void ReadFile(FileSystem& fs, TreeNode& node) {
  auto file = fs.Open(node.ino, O_RDONLY);
  if (!file) {
    node.readable = false;
    return;
  }
  std::string buffer(1 << 20, '\0');
  while (node.content.size() < node.size) {
    const auto got =
        fs.Read(**file, node.content.size(), std::as_writable_bytes(std::span(buffer)));
    if (!got || *got == 0) {
      node.readable = false;
      break;
    }
    node.content.append(buffer, 0, *got);
  }
  fs.Release(std::move(*file));
}

void ReadDirectory(FileSystem& fs, Ino directory, const std::string& path, Tree& tree,
                   uint64_t* failures) {
  std::vector<DirectoryEntry> entries;
  const auto listed = fs.List(directory, 0, [&](const DirectoryEntry& entry) {
    if (entry.name != "." && entry.name != "..") entries.push_back(entry);
    return true;
  });
  if (!listed) NoteFailure(failures, path + "/");
  for (const DirectoryEntry& entry : entries) {
    const auto found = fs.Lookup(directory, entry.name);
    if (!found) {
      NoteFailure(failures, path + "/" + entry.name);
      continue;
    }
    TreeNode& node = tree[path + "/" + entry.name];
    node.ino = found->ino;
    node.mode = found->mode;
    node.nlink = found->nlink;
    node.size = found->size;
    if (S_ISREG(node.mode)) ReadFile(fs, node);
    if (S_ISLNK(node.mode)) {
      const auto target = fs.ReadLink(node.ino);
      node.readable = target.has_value();
      node.content = target.value_or("");
    }
    if (!node.readable && failures != nullptr) ++*failures;
    if (S_ISDIR(node.mode)) {
      ReadDirectory(fs, node.ino, path + "/" + entry.name, tree, failures);
    }
    fs.Forget(found->ino, 1);
  }
}

void PutAt(FileSystem& fs, Ino parent, const std::string& name, const std::string& content) {
  Attributes attributes;
  auto file = fs.CreateAndOpen(parent, name, S_IFREG | 0644, O_RDWR, Caller{}, attributes);
  ASSERT_TRUE(IsOk(file));
  if (!content.empty()) {
    EXPECT_TRUE(IsOk(fs.Write(**file, 0, AsBytes(content), false)));
  }
  fs.Release(std::move(*file));
  fs.Forget(attributes.ino, 1);
}

}  // namespace

Tree ReadTree(FileSystem& fs, uint64_t* failures) {
  Tree tree;
  ReadDirectory(fs, kRootIno, "", tree, failures);
  return tree;
}

RepairTest::RepairTest()
    : store_(std::make_unique<TestStore>(TestStoreOptions{.config = kQuietConfig})) {
  Random random(TestSeed());
  FileSystem& fs = store_->fs();
  const std::string shared = random.Bytes(300'000);
  store_->PutFile("noise", random.Bytes(400'000));
  store_->PutFile("shared", shared);
  store_->PutFile("shared too", shared + random.Bytes(1000));
  store_->PutFile("text", std::string(200'000, 'x') + random.Bytes(50));
  store_->PutFile("empty", "");
  {
    Handle sparse = store_->CreateFile("sparse");  // three recipe pages with holes between
    for (const uint64_t offset : {0ull, 17ull << 20, 40ull << 20}) {
      sparse.Write(offset, random.Bytes(50'000));
    }
  }
  const auto made = fs.Create(kRootIno, "directory", S_IFDIR | 0755, 0, "", Caller{});
  const auto inner = fs.Create(made->ino, "inner", S_IFDIR | 0755, 0, "", Caller{});
  for (int i = 0; i < 20; ++i) {
    PutAt(fs, made->ino, "file " + std::to_string(i), random.Bytes(20'000));
    PutAt(fs, inner->ino, "deep " + std::to_string(i), random.Bytes(random.Between(1, 5000)));
  }
  EXPECT_TRUE(IsOk(fs.Link(store_->Find("noise"), inner->ino, "second name of noise")));
  EXPECT_TRUE(IsOk(fs.Create(kRootIno, "symlink", S_IFLNK | 0777, 0, "directory/inner", Caller{})));
  EXPECT_TRUE(
      IsOk(fs.SetXattr(store_->Find("text"), "user.large", std::string(5000, 'v'), 0, Caller{})));
  store_->PutFile("gone", random.Bytes(60'000));
  EXPECT_TRUE(IsOk(fs.Unlink(kRootIno, "gone")));
  store_->Settle();
  before_ = ReadTree(fs);
  store_->Reopen();  // what lay in the log goes into tables
  store_->Reopen();
  store_->Close();
}

std::unique_ptr<Kv> RepairTest::OpenDatabase() {
  auto kv = Kv::Open(Database(), KvOptions{});
  EXPECT_TRUE(IsOk(kv));
  return kv ? std::move(*kv) : nullptr;
}

void RepairTest::Put(Family family, std::string_view key, std::string_view value) {
  Batch batch;
  batch.Put(family, key, value);
  EXPECT_TRUE(IsOk(OpenDatabase()->Write(batch, Durability::kSynced)));
}

void RepairTest::Delete(Family family, std::string_view key) {
  Batch batch;
  batch.Delete(family, key);
  EXPECT_TRUE(IsOk(OpenDatabase()->Write(batch, Durability::kSynced)));
}

void RepairTest::DeleteFamily(Family family) {
  const auto kv = OpenDatabase();
  Batch batch;
  const auto rows = kv->Iterate(family, "", "");
  for (; rows->Valid(); rows->Next()) batch.Delete(family, rows->key());
  EXPECT_TRUE(IsOk(kv->Write(batch, Durability::kSynced)));
}

RepairReport RepairTest::Repair(bool apply) {
  losses_.clear();
  RepairHooks hooks;
  hooks.lost = [this](const std::string& line) { losses_.push_back(line); };
  auto report = RepairStore(directory(), apply, hooks);
  EXPECT_TRUE(IsOk(report));
  report_ = report ? std::move(*report) : RepairReport();
  return report_;
}

uint64_t RepairTest::Mended(const RepairReport& report, const std::string& kind) {
  for (const RepairReport::Kind& known : report.mended) {
    if (known.name == kind) return known.count;
  }
  return 0;
}

std::vector<std::string> RepairTest::CheckLines() {
  std::vector<std::string> lines;
  const auto check = FileSystem::Check(
      directory(), [&](const std::string& line) { lines.push_back(line); },
      [](const ChunkStore::CheckProgress&) {});
  EXPECT_TRUE(IsOk(check));
  return lines;
}

bool RepairTest::IsNamed(const std::string& path) const {
  return std::any_of(losses_.begin(), losses_.end(),
                     [&](const std::string& line) { return line.starts_with(path + ": "); });
}

void RepairTest::ExpectAsBefore() {
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
  EXPECT_EQ(losses_, std::vector<std::string>());
  EXPECT_EQ(ExpectOnlyNamedDiffer(), 0U);
}

// In lost+found, or below a directory that is there.
bool RepairTest::IsMoved(const Tree& after, const TreeNode& node) {
  return std::any_of(after.begin(), after.end(), [&](const auto& other) {
    return other.first.starts_with("/lost+found/") && other.second.ino == node.ino &&
           other.second.content == node.content;
  });
}

bool RepairTest::NamesMayBeLostBeside(const std::string& path) const {
  const std::string parent = path.substr(0, std::max<size_t>(path.rfind('/'), 1));
  return std::count(losses_.begin(), losses_.end(),
                    parent + ": names in this directory may be lost") > 0;
}

bool RepairTest::IsRemovedEntry(const std::string& path) const {
  const std::string sought = path.substr(path.rfind('/')) + ": ";
  for (const RepairReport::Kind& kind : report_.mended) {
    if (kind.name != "entries that name no inode") continue;
    for (const std::string& example : kind.examples) {
      if (example.find(sought) != std::string::npos) return true;
    }
  }
  return false;
}

size_t RepairTest::ExpectOnlyNamedDiffer() {
  store_->Open({.read_only = true});
  const Tree after = ReadTree(store_->fs());
  store_->Close();
  size_t differ = 0;
  for (const auto& [path, node] : before_) {
    const auto found = after.find(path);
    // Another name of the same inode may be the one that is named.
    const bool is_named =
        IsNamed(path) ||
        std::any_of(before_.begin(), before_.end(), [this, ino = node.ino](const auto& other) {
          return other.second.ino == ino && IsNamed(other.first);
        });
    if (is_named) {
      if (found == after.end() || !found->second.readable || found->second.mode != node.mode ||
          found->second.content != node.content) {
        ++differ;
      }
      continue;
    }
    if (found == after.end()) {
      EXPECT_TRUE(IsMoved(after, node) || IsRemovedEntry(path) || NamesMayBeLostBeside(path))
          << path << " is gone and not named";
      ++differ;
      continue;
    }
    EXPECT_EQ(found->second.mode & S_IFMT, node.mode & S_IFMT) << path;
    EXPECT_TRUE(found->second.readable) << path << " cannot be read and is not named";
    EXPECT_EQ(found->second.size, S_ISDIR(node.mode) ? found->second.size : node.size) << path;
    EXPECT_TRUE(found->second.content == node.content) << path << " has other bytes";
  }
  return differ;
}

}  // namespace dedupfs
