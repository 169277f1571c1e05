#include "fs/fuse/session_arguments.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace dedupfs {
namespace {

// What libfuse hands to mount(2).
constexpr std::array<std::string_view, 11> kPassedOn = {"dev",  "nodev",  "suid",    "nosuid",
                                                        "exec", "noexec", "noatime", "dirsync",
                                                        "sync", "async",  "ro"};
// The kernel's defaults, words for mount(8) alone, and what libfuse 3.14 does not know and changes
// nothing: no reading ever sets an atime here.
constexpr std::array<std::string_view, 10> kNeedless = {
    "rw",     "relatime", "defaults", "atime",       "auto",
    "noauto", "nofail",   "_netdev",  "strictatime", "nodiratime"};

template <typename List>
bool Contains(const List& list, std::string_view option) {
  return std::find(list.begin(), list.end(), option) != list.end();
}

std::string Escaped(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  for (const char c : value) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

Result<std::string> SessionArguments(const SessionOptions& options, bool is_root) {
  std::string out = "subtype=dedupfs,default_permissions,max_read=1048576";
  if (!options.source.empty()) out += ",fsname=" + Escaped(options.source);
  if (options.allow_other.value_or(is_root)) out += ",allow_other";
  if (options.read_only) out += ",ro";
  if (options.debug) out += ",debug";
  if (is_root) out += ",dev,suid";  // libfuse would mount nodev,nosuid; later options win
  for (const std::string& option : options.kernel_options) {
    if (Contains(kPassedOn, option)) {
      out += "," + option;
    } else if (!Contains(kNeedless, option)) {
      return Fail(EINVAL, "mount option " + option + " is not known");
    }
  }
  return out;
}

}  // namespace dedupfs
