// Random changes of names against a tree in memory that knows nothing of rows.
#include <cstdio>
#include <map>

#include "tests/fs/namespace/namespace_fixture.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

struct Node {
  bool directory = false;
  int links = 0;
  Ino parent = 0;  // of directories
  std::map<std::string, Ino> names;
};

// The rules of POSIX, by the simplest means.
class Model {
 public:
  Model() { nodes_[kRootIno] = Node{true, 1, kRootIno, {}}; }

  int CreateCode(Ino parent, const std::string& name) const {
    if (nodes_.at(parent).links == 0) return ENOENT;
    return nodes_.at(parent).names.count(name) != 0 ? EEXIST : 0;
  }
  void Create(Ino parent, const std::string& name, Ino ino, bool directory) {
    nodes_[ino] = Node{directory, 1, parent, {}};
    nodes_[parent].names[name] = ino;
  }
  int Link(Ino ino, Ino parent, const std::string& name) {
    if (nodes_.at(parent).links == 0) return ENOENT;
    if (nodes_.at(ino).directory) return EPERM;
    if (nodes_.at(parent).names.count(name) != 0) return EEXIST;
    if (nodes_.at(ino).links == 0) return ENOENT;
    ++nodes_[ino].links;
    nodes_[parent].names[name] = ino;
    return 0;
  }
  int Remove(Ino parent, const std::string& name, bool directory) {
    const Ino ino = At(parent, name);
    if (ino == 0) return ENOENT;
    if (nodes_.at(ino).directory != directory) return directory ? ENOTDIR : EISDIR;
    if (!nodes_.at(ino).names.empty()) return ENOTEMPTY;
    --nodes_[ino].links;
    nodes_[parent].names.erase(name);
    return 0;
  }
  // The errors that Linux may give, of which a file system picks its order: 0 or any other.
  bool CanRename(Ino parent, const std::string& name, Ino to, const std::string& new_name,
                 unsigned flags) const {
    const Ino ino = At(parent, name), other = At(to, new_name);
    if (ino == 0 || nodes_.at(to).links == 0) return false;
    if ((flags & RENAME_NOREPLACE) != 0 && other != 0) return false;
    if ((flags & RENAME_EXCHANGE) != 0 && other == 0) return false;
    if (IsAbove(ino, to)) return false;
    if ((flags & RENAME_EXCHANGE) != 0) return !IsAbove(other, parent);
    if (other == 0 || other == ino) return true;
    if (nodes_.at(ino).directory != nodes_.at(other).directory) return false;
    return nodes_.at(other).names.empty();
  }
  void Rename(Ino parent, const std::string& name, Ino to, const std::string& new_name,
              unsigned flags) {
    const Ino ino = At(parent, name), other = At(to, new_name);
    if (ino == other) return;
    if ((flags & RENAME_EXCHANGE) != 0) {
      nodes_[parent].names[name] = other;
      nodes_[other].parent = parent;
    } else {
      nodes_[parent].names.erase(name);
      if (other != 0) --nodes_[other].links;
    }
    nodes_[to].names[new_name] = ino;
    nodes_[ino].parent = to;
  }
  Ino At(Ino parent, const std::string& name) const {
    const auto& names = nodes_.at(parent).names;
    const auto found = names.find(name);
    return found == names.end() ? 0 : found->second;
  }
  const std::map<Ino, Node>& nodes() const { return nodes_; }

 private:
  bool IsAbove(Ino ino, Ino below) const {
    if (!nodes_.at(ino).directory) return false;
    for (Ino at = below;; at = nodes_.at(at).parent) {
      if (at == ino) return true;
      if (at == kRootIno) return false;
    }
  }
  std::map<Ino, Node> nodes_;
};

class ModelTest : public NamespaceFixture {
 protected:
  void Step(Random& random) {
    std::vector<Ino> dirs, all;
    for (const auto& [ino, node] : model_.nodes()) {
      all.push_back(ino);
      if (node.directory && (node.links != 0 || random.OneIn(20))) dirs.push_back(ino);
    }
    const Ino dir = dirs[random.Below(dirs.size())], other = dirs[random.Below(dirs.size())];
    const std::string name = "n" + std::to_string(random.Below(5));
    const std::string new_name = "n" + std::to_string(random.Below(5));
    switch (random.Below(8)) {
      case 0:
      case 1:
        Create(dir, name, random.OneIn(2));
        break;
      case 2: {
        const Ino ino = all[random.Below(all.size())];
        ASSERT_EQ(CodeOf(ns_->Link(ino, dir, name)), model_.Link(ino, dir, name));
        break;
      }
      case 3:
        ASSERT_EQ(CodeOf(ns_->Unlink(dir, name)), model_.Remove(dir, name, false));
        break;
      case 4:
        ASSERT_EQ(CodeOf(ns_->RemoveDirectory(dir, name)), model_.Remove(dir, name, true));
        break;
      default:
        Rename(dir, name, other, new_name, static_cast<unsigned>(random.Below(3)));
    }
  }
  void Create(Ino dir, const std::string& name, bool directory) {
    const auto made = Make(dir, name, directory ? S_IFDIR | 0755 : S_IFREG | 0644);
    ASSERT_EQ(CodeOf(made), model_.CreateCode(dir, name));
    if (made) model_.Create(dir, name, made->ino, directory);
  }
  void Rename(Ino dir, const std::string& name, Ino to, const std::string& new_name,
              unsigned flags) {
    const bool can = model_.CanRename(dir, name, to, new_name, flags);
    const auto renamed = ns_->Rename(dir, name, to, new_name, flags);
    ASSERT_EQ(renamed.has_value(), can) << CodeOf(renamed);
    if (!can) return;
    const Ino replaced = flags == RENAME_EXCHANGE || model_.At(dir, name) == model_.At(to, new_name)
                             ? 0
                             : model_.At(to, new_name);
    ASSERT_EQ(*renamed ? (*renamed)->ino : 0, replaced);
    model_.Rename(dir, name, to, new_name, flags);
  }
  void Compare() {
    for (const auto& [ino, node] : model_.nodes()) {
      const Attributes found = Stat(ino);
      if (!node.directory) {
        ASSERT_EQ(found.nlink, static_cast<uint32_t>(node.links)) << ino;
        continue;
      }
      std::map<std::string, Ino> names;
      for (const DirectoryEntry& entry : Entries(ino)) names[entry.name] = entry.ino;
      ASSERT_EQ(names, node.names) << ino;
      if (node.links != 0) {
        ASSERT_EQ(ns_->Lookup(ino, "..")->ino, node.parent);
      }
    }
    ASSERT_EQ(Problems(), std::vector<std::string>());
    ASSERT_EQ(ns_->InodeCount(), model_.nodes().size());
  }

  Model model_;
};

TEST_F(ModelTest, RandomChangesAgreeWithTheModelOverReopens) {
  Random random(TestSeed());
  for (int step = 0; step < 6000; ++step) {
    ASSERT_NO_FATAL_FAILURE(Step(random)) << "step " << step;
    if (step % 1500 == 1499) {
      ASSERT_NO_FATAL_FAILURE(Compare()) << "step " << step;
      Reopen();
      ASSERT_NO_FATAL_FAILURE(Compare()) << "after the reopen at step " << step;
    }
  }
}

}  // namespace
}  // namespace dedupfs
