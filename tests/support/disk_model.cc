#include "tests/support/disk_model.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <utility>

namespace dedupfs {
namespace {

namespace stdfs = std::filesystem;

// Of what was not synced, so many of these stay.
constexpr uint64_t kShares = 8;

void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::cerr << "disk model: " << what << '\n';
  std::abort();
}

// Keeps of the bytes of `now` that `synced` lacks a random share of sectors, or a prefix; always
// that where they are kept `in_order`.
std::string Torn(const std::string& synced, const std::string& now, uint64_t clean, bool in_order,
                 Random& random) {
  std::string left = synced;
  if (now.size() < synced.size() && random.OneIn(2)) left.resize(now.size());
  const uint64_t share = random.Below(kShares + 1);
  const uint64_t first = clean / DiskModel::kSector;
  const uint64_t sectors = (now.size() + DiskModel::kSector - 1) / DiskModel::kSector;
  std::optional<uint64_t> end;
  if (sectors > first && (in_order || random.OneIn(3)))
    end = first + random.Below(sectors - first + 1);
  for (uint64_t sector = first; sector < sectors; ++sector) {
    if (end ? sector >= *end : random.Below(kShares) >= share) continue;
    const uint64_t begin = sector * DiskModel::kSector;
    const uint64_t size = std::min<uint64_t>(DiskModel::kSector, now.size() - begin);
    if (left.size() < begin + size) left.resize(begin + size, '\0');
    left.replace(begin, size, now, begin, size);
  }
  return left;
}

}  // namespace

const char* NameOf(DiskCall::Kind kind) {
  switch (kind) {
    case DiskCall::Kind::kCreate:
      return "create";
    case DiskCall::Kind::kMakeDir:
      return "mkdir";
    case DiskCall::Kind::kWrite:
      return "write";
    case DiskCall::Kind::kTruncate:
      return "truncate";
    case DiskCall::Kind::kSync:
      return "sync";
    case DiskCall::Kind::kLostSync:
      return "failed sync";
    case DiskCall::Kind::kRename:
      return "rename";
    case DiskCall::Kind::kRemove:
      return "remove";
    case DiskCall::Kind::kSyncDir:
      return "sync of the directory";
  }
  return "?";
}

bool IsSimulated(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name != "LOG" && !name.starts_with("LOG.old") && name != "LOCK" && name != "lock" &&
         name != "dedupfs.toml";
}

DiskModel::DiskModel() : root_(std::make_shared<Node>()) { root_->is_directory = true; }

DiskModel::NodePtr DiskModel::NewFile() {
  auto node = std::make_shared<Node>();
  files_.push_back(node);
  node->number = files_.size();
  return node;
}

void DiskModel::Import(const std::string& directory) { ImportInto(*root_, directory); }

void DiskModel::ImportInto(Node& node, const std::string& directory) {
  std::vector<stdfs::path> paths;
  for (const auto& entry : stdfs::directory_iterator(directory)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());  // numbers must not depend on the disk below
  for (const stdfs::path& path : paths) {
    const std::string name = path.filename().string();
    if (!IsSimulated(name)) continue;
    NodePtr child;
    if (stdfs::is_directory(path)) {
      child = std::make_shared<Node>();
      child->is_directory = true;
      ImportInto(*child, path.string());
    } else {
      child = NewFile();
      std::ifstream in(path, std::ios::binary);
      child->now.assign(std::istreambuf_iterator<char>(in), {});
      child->synced = child->now;
      child->clean = child->now.size();
    }
    node.names[name] = child;
    node.synced_names[name] = child;
  }
}

DiskModel::NodePtr DiskModel::Find(const std::string& path) const {
  NodePtr node = root_;
  for (const stdfs::path& part : stdfs::path(path)) {
    if (part.empty()) continue;
    const auto found = node->names.find(part.string());
    if (found == node->names.end()) return nullptr;
    node = found->second;
  }
  return node;
}

DiskModel::Node& DiskModel::ParentOf(const std::string& path, std::string& name) const {
  const stdfs::path whole(path);
  name = whole.filename().string();
  const NodePtr parent = Find(whole.parent_path().string());
  Require(parent != nullptr && parent->is_directory, "no directory for " + path);
  return *parent;
}

DiskModel::Node& DiskModel::FileOf(uint64_t number) const {
  Require(number > 0 && number <= files_.size(), "no file " + std::to_string(number));
  return *files_[number - 1];
}

uint64_t DiskModel::FileAt(const std::string& path) const {
  const NodePtr node = Find(path);
  return node == nullptr ? 0 : node->number;
}

bool DiskModel::Exists(const std::string& path) const { return Find(path) != nullptr; }

uint64_t DiskModel::SizeOf(uint64_t file) const { return FileOf(file).now.size(); }

void DiskModel::Perform(Names& names, const NameChange& change) {
  if (!change.name.empty()) names.erase(change.name);
  if (!change.to.empty()) names[change.to] = change.node;
}

void DiskModel::Change(Node& directory, NameChange change) {
  Perform(directory.names, change);
  directory.changes.push_back(std::move(change));
}

void DiskModel::Apply(const DiskCall& call) {
  std::string name;
  switch (call.kind) {
    case DiskCall::Kind::kCreate: {
      Node& parent = ParentOf(call.path, name);
      Change(parent, {"", name, NewFile()});
      return;
    }
    case DiskCall::Kind::kMakeDir: {
      Node& parent = ParentOf(call.path, name);
      auto directory = std::make_shared<Node>();
      directory->is_directory = true;
      Change(parent, {"", name, std::move(directory)});
      return;
    }
    case DiskCall::Kind::kRename: {
      Require(stdfs::path(call.path).parent_path() == stdfs::path(call.to).parent_path(),
              "rename across directories: " + call.path);
      Node& parent = ParentOf(call.path, name);
      Change(parent, {name, stdfs::path(call.to).filename().string(), Find(call.path)});
      return;
    }
    case DiskCall::Kind::kRemove: {
      Node& parent = ParentOf(call.path, name);
      Change(parent, {name, "", nullptr});
      return;
    }
    case DiskCall::Kind::kSyncDir: {
      const NodePtr directory = Find(call.path);
      Require(directory != nullptr, "no directory " + call.path);
      directory->synced_names = directory->names;
      directory->changes.clear();
      return;
    }
    case DiskCall::Kind::kWrite: {
      Node& file = FileOf(call.file);
      file.clean = std::min({file.clean, call.offset, uint64_t{file.now.size()}});
      if (file.now.size() < call.offset + call.data.size()) {
        file.now.resize(call.offset + call.data.size(), '\0');
      }
      file.now.replace(call.offset, call.data.size(), call.data);
      return;
    }
    case DiskCall::Kind::kTruncate: {
      Node& file = FileOf(call.file);
      file.clean = std::min({file.clean, call.offset, uint64_t{file.now.size()}});
      file.now.resize(call.offset, '\0');
      return;
    }
    case DiskCall::Kind::kSync: {
      Node& file = FileOf(call.file);
      if (file.lost) return;
      file.synced.resize(file.clean);
      file.synced.append(file.now, file.clean);
      file.clean = file.now.size();
      return;
    }
    case DiskCall::Kind::kLostSync:
      FileOf(call.file).lost = true;
      return;
  }
}

std::string DiskModel::ContentAfter(const Node& file, const std::string& path, Loss loss,
                                    Random& random) {
  // RocksDB calls a record corrupt whose end survives its beginning, and opens nothing then.
  const bool in_order = stdfs::path(path).filename().string().starts_with("MANIFEST-");
  switch (loss) {
    case Loss::kNothing:
      return file.now;
    case Loss::kUnsynced:
      return file.synced;
    case Loss::kTorn:
      return Torn(file.synced, file.now, file.clean, in_order, random);
  }
  return file.now;
}

DiskModel::Names DiskModel::NamesAfter(const Node& directory, Loss loss, Random& random) {
  if (loss == Loss::kNothing) return directory.names;
  Names names = directory.synced_names;
  if (loss == Loss::kUnsynced) return names;
  const uint64_t share = random.Below(kShares + 1);
  for (const NameChange& change : directory.changes) {
    if (random.Below(kShares) < share) Perform(names, change);
  }
  return names;
}

void DiskModel::WriteNode(const Node& node, const std::string& path, Loss loss, Random& random) {
  if (!node.is_directory) {
    const std::string content = ContentAfter(node, path, loss, random);
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    out.close();
    Require(out.good(), "cannot write " + path);
    return;
  }
  stdfs::create_directory(path);
  for (const auto& [name, child] : NamesAfter(node, loss, random)) {
    std::string below = path;
    below.append("/").append(name);
    WriteNode(*child, below, loss, random);
  }
}

void DiskModel::WriteTo(const std::string& directory, Loss loss, Random& random) const {
  stdfs::remove_all(directory);
  WriteNode(*root_, directory, loss, random);
}

}  // namespace dedupfs
