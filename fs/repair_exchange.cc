#include "fs/repair_exchange.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace dedupfs {
namespace {

namespace files = std::filesystem;

constexpr std::string_view kKeptPrefix = "db.damaged-";

std::string KeptName(const StoreDirectory& store, uint64_t number) {
  return store.path() + "/" + std::string(kKeptPrefix) + std::to_string(number);
}

// The highest number that a database was kept under; 0: none was. Those below may have been removed
// by their owner, and theirs are not given again: the highest is the latest.
Result<uint64_t> LastKept(const StoreDirectory& store) {
  uint64_t last = 0;
  std::error_code code;
  for (files::directory_iterator entry(store.path(), code);
       !code && entry != files::directory_iterator(); entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kKeptPrefix)) continue;
    uint64_t number = 0;
    const char* const end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + kKeptPrefix.size(), end, number);
    if (parsed.ec == std::errc() && parsed.ptr == end) last = std::max(last, number);
  }
  if (code) return Fail(code.value(), store.path() + ": " + code.message());
  return last;
}

Result<bool> Exists(const std::string& path) {
  std::error_code code;
  const bool there = files::exists(path, code);
  if (code) return Fail(code.value(), path + ": " + code.message());
  return there;
}

}  // namespace

Result<std::string> DatabaseToRepair(const StoreDirectory& store) {
  DEDUPFS_ASSIGN_OR_RETURN(const bool there, Exists(store.database()));
  if (there) return store.database();
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t last, LastKept(store));
  return last == 0 ? store.database() : KeptName(store, last);
}

Result<std::string> ExchangeDatabases(Env& env, const StoreDirectory& store,
                                      const std::string& made,
                                      const std::function<Status()>& before_exchange) {
  DEDUPFS_RETURN_IF_ERROR(env.SyncDir(made));
  DEDUPFS_ASSIGN_OR_RETURN(const bool there, Exists(store.database()));
  if (!there) {
    DEDUPFS_RETURN_IF_ERROR(env.Rename(made, store.database()));
    DEDUPFS_RETURN_IF_ERROR(env.SyncDir(store.path()));
    return std::string();
  }
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t last, LastKept(store));
  std::string kept = KeptName(store, last + 1);
  // The new database gets the name first under which the old one is to stay: so it is never the
  // old one that has a name under which something is removed.
  DEDUPFS_RETURN_IF_ERROR(env.Rename(made, kept));
  DEDUPFS_RETURN_IF_ERROR(before_exchange());
  if (renameat2(AT_FDCWD, kept.c_str(), AT_FDCWD, store.database().c_str(), RENAME_EXCHANGE) != 0) {
    const int error = errno;
    DEDUPFS_RETURN_IF_ERROR(env.Rename(kept, made));
    errno = error;
    if (error != EINVAL && error != ENOSYS) return FailErrno(kept);
    DEDUPFS_RETURN_IF_ERROR(env.Rename(store.database(), kept));
    if (const Status renamed = env.Rename(made, store.database()); !renamed) {
      DEDUPFS_RETURN_IF_ERROR(env.Rename(kept, store.database()));
      return Fail(renamed.error());
    }
  }
  DEDUPFS_RETURN_IF_ERROR(env.SyncDir(store.path()));
  return kept;
}

}  // namespace dedupfs
