#include "tests/fs/model/store_snapshot.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <tuple>

namespace dedupfs {
namespace {

namespace stdfs = std::filesystem;

// inode, size and the time of the last change
using Identity = std::tuple<uint64_t, int64_t, int64_t, int64_t>;
using Listing = std::map<std::string, Identity>;

// Nothing where a file vanished while the listing was made.
std::optional<Listing> ListFiles(const std::string& directory) {
  Listing listing;
  std::error_code error;
  for (stdfs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    struct stat info {};
    if (lstat(it->path().c_str(), &info) != 0) return std::nullopt;
    if (!S_ISREG(info.st_mode)) continue;
    listing.emplace(it->path().lexically_relative(directory).string(),
                    Identity(info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
  }
  if (error) return std::nullopt;
  return listing;
}

bool CopyFiles(const Listing& listing, const std::string& from, const std::string& to) {
  std::error_code error;
  stdfs::remove_all(to, error);
  stdfs::create_directories(to, error);
  for (const auto& [name, identity] : listing) {
    const stdfs::path target = stdfs::path(to) / name;
    stdfs::create_directories(target.parent_path(), error);
    if (!stdfs::copy_file(stdfs::path(from) / name, target, error)) return false;
  }
  // Directories without files are part of a store as well.
  for (stdfs::recursive_directory_iterator it(from, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored)) continue;
    stdfs::create_directories(stdfs::path(to) / it->path().lexically_relative(from), ignored);
  }
  return !error;
}

}  // namespace

void CopyStoreOfOneInstant(const std::string& from, const std::string& to) {
  constexpr int kAttempts = 2000;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto before = ListFiles(from);
    if (!before || !CopyFiles(*before, from, to)) continue;
    if (ListFiles(from) == before) return;
  }
  FAIL() << "the store never came to rest";
}

}  // namespace dedupfs
