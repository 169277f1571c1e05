#include "tools/dedupfs/mount_options.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunkstore/base/error.h"

namespace dedupfs {
namespace {

// Options of one group exclude one another: the last one wins, as with mount(8).
constexpr std::array<std::pair<std::string_view, int>, 14> kKernelOptions{{
    {"atime", 0},
    {"noatime", 0},
    {"relatime", 0},
    {"strictatime", 0},
    {"dev", 1},
    {"nodev", 1},
    {"suid", 2},
    {"nosuid", 2},
    {"exec", 3},
    {"noexec", 3},
    {"sync", 4},
    {"async", 4},
    {"dirsync", 5},
    {"nodiratime", 6},
}};

constexpr std::array<std::string_view, 14> kForMountOnly{"defaults",
                                                         "auto",
                                                         "noauto",
                                                         "nofail",
                                                         "_netdev",
                                                         "user",
                                                         "nouser",
                                                         "users",
                                                         "group",
                                                         "owner",
                                                         "noowner",
                                                         "nogroup",
                                                         "default_permissions",
                                                         "nousers"};

int GroupOf(std::string_view option) {
  const auto* const found = std::find_if(kKernelOptions.begin(), kKernelOptions.end(),
                                         [&](const auto& known) { return known.first == option; });
  return found == kKernelOptions.end() ? -1 : found->second;
}

void AddKernelOption(std::string_view option, int group, std::vector<std::string>& options) {
  std::erase_if(options, [group](const std::string& other) { return GroupOf(other) == group; });
  options.emplace_back(option);
}

Status Apply(std::string_view option, MountOptionSet& set) {
  if (const int group = GroupOf(option); group >= 0) {
    AddKernelOption(option, group, set.kernel);
  } else if (option == "ro" || option == "rw") {
    set.read_only = option == "ro";
  } else if (option == "allow_other") {
    set.allow_other = true;
  } else if (option == "no_writeback_cache") {
    set.writeback_cache = false;
  } else if (option.starts_with("fsname=")) {
    return Fail(EINVAL,
                "option fsname: not possible; the mount table names the store, where commands "
                "find it by its mount point");
  } else if (option == "remount") {
    return Fail(EINVAL,
                "option remount: not possible; unmount, and mount again with the new options");
  } else if (!option.empty() && !option.starts_with("x-") && !option.starts_with("comment=") &&
             !option.starts_with("user=") &&
             std::find(kForMountOnly.begin(), kForMountOnly.end(), option) == kForMountOnly.end()) {
    return Fail(EINVAL, "option " + std::string(option) + ": unknown");
  }
  return Ok();
}

}  // namespace

std::vector<std::string> KernelMountOptions() {
  std::vector<std::string> options;
  options.reserve(kKernelOptions.size());
  for (const auto& known : kKernelOptions) options.emplace_back(known.first);
  return options;
}

Result<MountOptionSet> ParseMountOptions(std::string_view options) {
  MountOptionSet set;
  while (!options.empty()) {
    const size_t comma = std::min(options.find(','), options.size());
    DEDUPFS_RETURN_IF_ERROR(Apply(options.substr(0, comma), set));
    options.remove_prefix(std::min(comma + 1, options.size()));
  }
  return set;
}

}  // namespace dedupfs
