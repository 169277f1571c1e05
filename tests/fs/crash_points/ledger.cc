#include "tests/fs/crash_points/ledger.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "fs/content/open_file.h"  // OpenFile whole, for its unique_ptr

namespace dedupfs {
namespace {

Result<std::string> ReadWhole(FileSystem& fs, const Attributes& attributes) {
  DEDUPFS_ASSIGN_OR_RETURN(auto file, fs.Open(attributes.ino, O_RDONLY));
  std::string bytes(attributes.size, '\0');
  size_t done = 0;
  Status status = Ok();
  while (done < bytes.size()) {
    const auto got = fs.Read(*file, done, std::as_writable_bytes(std::span(bytes)).subspan(done));
    if (!got) status = Fail(got.error());
    if (!got || *got == 0) break;
    done += *got;
  }
  fs.Release(std::move(file));
  DEDUPFS_RETURN_IF_ERROR(status);
  if (done < bytes.size()) {
    return Fail(EIO, "inode " + std::to_string(attributes.ino) + ": " + std::to_string(done) +
                         " bytes of " + std::to_string(bytes.size()));
  }
  return bytes;
}

Status SeeDirectory(FileSystem& fs, Ino directory, const std::string& prefix, SeenTree& tree) {
  std::vector<std::string> names;
  DEDUPFS_RETURN_IF_ERROR(fs.List(directory, 0, [&](const DirectoryEntry& entry) {
    if (entry.name != "." && entry.name != "..") names.push_back(prefix + std::string(entry.name));
    return true;
  }));
  for (const std::string& path : names) {
    DEDUPFS_ASSIGN_OR_RETURN(const Attributes found,
                             fs.Lookup(directory, path.substr(prefix.size())));
    tree.names[path] = found.ino;
    Status status = Ok();
    if (S_ISDIR(found.mode)) {
      status = SeeDirectory(fs, found.ino, path + "/", tree);
    } else if (S_ISREG(found.mode) && !tree.contents.contains(found.ino)) {
      auto bytes = ReadWhole(fs, found);
      if (bytes) tree.contents[found.ino] = std::move(*bytes);
      if (!bytes) status = Fail(bytes.error().code, path + ": " + bytes.error().message);
    }
    fs.Forget(found.ino, 1);
    DEDUPFS_RETURN_IF_ERROR(status);
  }
  return Ok();
}

std::string Describe(const std::map<std::string, Ino>& names) {
  std::string text;
  for (const auto& [path, ino] : names) text += path + "=" + std::to_string(ino) + " ";
  return text;
}

}  // namespace

Result<SeenTree> SeeTree(FileSystem& fs) {
  SeenTree tree;
  DEDUPFS_RETURN_IF_ERROR(SeeDirectory(fs, kRootIno, "", tree));
  return tree;
}

void Ledger::Begin(const SeenTree& tree) {
  names_.push_back({0, tree.names});
  for (const auto& [ino, bytes] : tree.contents) contents_[ino].push_back({0, bytes, false});
}

void Ledger::NamesChanged(uint64_t begin, std::map<std::string, Ino> names) {
  names_.push_back({begin, std::move(names)});
}

void Ledger::ContentChanged(uint64_t begin, Ino ino, std::string bytes, bool passing) {
  contents_[ino].push_back({begin, std::move(bytes), passing});
}

void Ledger::ContentGoesBeforeNames(Ino ino) {
  orders_.push_back({names_.size() - 1, ino, contents_.at(ino).size() - 1});
}

void Ledger::PromiseNames(uint64_t now) { promises_.push_back({now, names_.size() - 1, {}}); }

void Ledger::PromiseContent(uint64_t now, Ino ino) {
  promises_.push_back({now, names_.size() - 1, {{ino, contents_.at(ino).size() - 1}}});
}

void Ledger::PromiseAll(uint64_t now) {
  Promise promise{now, names_.size() - 1, {}};
  for (const auto& [ino, versions] : contents_) promise.contents[ino] = versions.size() - 1;
  promises_.push_back(std::move(promise));
}

std::string Ledger::ContentOf(Ino ino) const {
  const auto versions = contents_.find(ino);
  return versions == contents_.end() ? std::string() : versions->second.back().bytes;
}

size_t Ledger::Newest(const std::vector<Content>& versions, uint64_t instant) const {
  size_t newest = 0;
  while (newest + 1 < versions.size() && versions[newest + 1].begin <= instant) ++newest;
  return newest;
}

std::string Ledger::FaultOf(Ino ino, const std::string& bytes, size_t oldest,
                            uint64_t instant) const {
  const auto versions = contents_.find(ino);
  if (versions == contents_.end()) return "an inode that never was";
  const size_t newest = Newest(versions->second, instant);
  for (size_t i = oldest; i <= newest; ++i) {
    // A passing state may be there only where it was asked to be durable.
    const bool allowed = !versions->second[i].passing || i == oldest;
    if (allowed && versions->second[i].bytes == bytes) return "";
  }
  std::string text = std::to_string(bytes.size()) + " bytes that are none of versions " +
                     std::to_string(oldest) + " to " + std::to_string(newest) + " of sizes";
  for (size_t i = oldest; i <= newest; ++i) {
    text += " " + std::to_string(versions->second[i].bytes.size());
  }
  for (size_t i = 0; i < versions->second.size(); ++i) {
    if (versions->second[i].bytes == bytes) text += "; it is version " + std::to_string(i);
  }
  return text;
}

std::vector<std::string> Ledger::Faults(const SeenTree& tree, uint64_t instant) const {
  size_t oldest = 0;
  std::map<Ino, size_t> oldest_contents;
  for (const Promise& promise : promises_) {
    if (promise.at > instant) continue;
    oldest = std::max(oldest, promise.names);
    for (const auto& [ino, version] : promise.contents) {
      oldest_contents[ino] = std::max(oldest_contents[ino], version);
    }
  }
  std::optional<size_t> found;
  for (size_t i = oldest; i < names_.size() && !found; ++i) {
    if (i > oldest && names_[i].begin > instant) break;
    if (names_[i].names == tree.names) found = i;
  }
  if (!found) {
    return {"the names are none of versions from " + std::to_string(oldest) +
            " on: " + Describe(tree.names) + "; promised: " + Describe(names_[oldest].names)};
  }
  for (const Order& order : orders_) {
    if (order.names > *found) continue;
    oldest_contents[order.ino] = std::max(oldest_contents[order.ino], order.content);
  }
  std::vector<std::string> faults;
  for (const auto& [ino, bytes] : tree.contents) {
    const std::string fault = FaultOf(ino, bytes, oldest_contents[ino], instant);
    if (!fault.empty()) faults.push_back("inode " + std::to_string(ino) + ": " + fault);
  }
  return faults;
}

}  // namespace dedupfs
