#include "tools/dedupfs/export_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <string_view>

namespace dedupfs {
namespace {

constexpr size_t kEntriesAtOnce = 512;
constexpr uint64_t kDotDotCookie = 2;

// A file with several names counts by its share: all of them may not be in this tree.
void Measure(FileSystem& file_system, const Attributes& attributes, DirectoriesAbove& above,
             uint64_t& bytes) {
  if (!S_ISDIR(attributes.mode)) {
    if (attributes.nlink > 0) bytes += attributes.blocks * 512 / attributes.nlink;
    return;
  }
  if (above.Has(attributes.ino) || above.size() > kMostLevels) return;
  const DirectoriesAbove::Step step(above, attributes.ino);
  uint64_t cookie = 0;
  while (true) {
    const auto entries = NextEntries(file_system, attributes.ino, cookie);
    if (!entries || entries->empty()) return;
    cookie = entries->back().cookie;
    for (const DirectoryEntry& entry : *entries) {
      const auto found = file_system.GetAttributes(entry.ino);
      if (found) Measure(file_system, *found, above, bytes);
    }
  }
}

}  // namespace

Result<Attributes> FindInStore(FileSystem& file_system, const std::string& path) {
  DEDUPFS_ASSIGN_OR_RETURN(Attributes found, file_system.GetAttributes(kRootIno));
  size_t at = 0;
  while (at < path.size()) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name = std::string_view(path).substr(at, end - at);
    at = end + 1;
    if (name.empty() || name == ".") continue;
    auto next = file_system.Lookup(found.ino, name);
    if (!next) return Fail(next.error().code, path + ": " + next.error().message);
    file_system.Forget(next->ino, 1);
    found = *next;
  }
  return found;
}

Result<std::vector<DirectoryEntry>> NextEntries(FileSystem& file_system, Ino directory,
                                                uint64_t cookie) {
  std::vector<DirectoryEntry> entries;
  DEDUPFS_RETURN_IF_ERROR(file_system.List(directory, std::max(cookie, kDotDotCookie),
                                           [&entries](const DirectoryEntry& entry) {
                                             entries.push_back(entry);
                                             return entries.size() < kEntriesAtOnce;
                                           }));
  return entries;
}

uint64_t MeasureTree(FileSystem& file_system, const Attributes& top) {
  DirectoriesAbove above;
  uint64_t bytes = 0;
  Measure(file_system, top, above, bytes);
  return bytes;
}

bool DirectoriesAbove::Has(Ino ino) const {
  return std::find(inos_.begin(), inos_.end(), ino) != inos_.end();
}

}  // namespace dedupfs
