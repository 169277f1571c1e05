#include "fs/fuse/caller.h"

#include <linux/capability.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

namespace dedupfs {
namespace {

constexpr int kHexadecimal = 16;

std::string DirectoryOf(pid_t thread) {
  const std::string id = std::to_string(thread);
  return "/proc/" + id + "/task/" + id;
}

std::string StatusOf(pid_t thread) {
  std::ifstream file(DirectoryOf(thread) + "/status");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// What follows `label` in its line.
std::string_view LineOf(std::string_view status, std::string_view label) {
  const size_t at = status.find(label);
  if (at == std::string_view::npos) return {};
  const std::string_view line = status.substr(at + label.size());
  return line.substr(0, line.find('\n'));
}

// None: a daemon that is not root may not look at another user's thread.
std::optional<bool> IsInOurUserNamespace(pid_t thread) {
  struct stat theirs = {};
  struct stat ours = {};
  if (::stat((DirectoryOf(thread) + "/ns/user").c_str(), &theirs) != 0 ||
      ::stat("/proc/self/ns/user", &ours) != 0) {
    return std::nullopt;
  }
  return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

}  // namespace

Caller CallerOf(fuse_req_t request) {
  const fuse_ctx* context = fuse_req_ctx(request);
  Caller caller;
  caller.uid = context->uid;
  caller.gid = context->gid;
  caller.umask = context->umask;
  caller.groups = [thread = context->pid] { return GroupsOfThread(thread); };
  caller.may_keep_set_id = [thread = context->pid, uid = context->uid] {
    return HasCapability(thread, uid, CAP_FSETID);
  };
  return caller;
}

// In place of fuse_req_getgroups(), which in libfuse 3.14 reads beyond its buffer.
std::vector<uint32_t> GroupsOfThread(pid_t thread) {
  if (thread <= 0) return {};  // a caller outside this pid namespace
  return ParseGroups(StatusOf(thread));
}

bool HasCapability(fuse_req_t request, unsigned capability) {
  const fuse_ctx* context = fuse_req_ctx(request);
  return HasCapability(context->pid, context->uid, capability);
}

bool HasCapability(pid_t thread, uint32_t uid, unsigned capability) {
  if (thread <= 0) return uid == 0;  // a caller outside this pid namespace
  const uint64_t capabilities = ParseCapabilities(StatusOf(thread));
  if ((capabilities >> capability & 1) == 0) return false;
  const std::optional<bool> ours = IsInOurUserNamespace(thread);
  // Who may make a file immutable must be known; what root keeps by the others is its own.
  return ours.value_or(uid == 0 && capability != CAP_LINUX_IMMUTABLE);
}

bool MayChangeFlags(fuse_req_t request) { return HasCapability(request, CAP_LINUX_IMMUTABLE); }

bool MayChangeFlags(pid_t thread, uint32_t uid) {
  return HasCapability(thread, uid, CAP_LINUX_IMMUTABLE);
}

uint64_t ParseCapabilities(std::string_view status) {
  std::string_view line = LineOf(status, "\nCapEff:");
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  uint64_t capabilities = 0;
  std::from_chars(line.data(), line.data() + line.size(), capabilities, kHexadecimal);
  return capabilities;
}

std::vector<uint32_t> ParseGroups(std::string_view status) {
  std::string_view line = LineOf(status, "\nGroups:");
  std::vector<uint32_t> groups;
  while (!line.empty()) {
    if (line.front() == ' ' || line.front() == '\t') {
      line.remove_prefix(1);
      continue;
    }
    uint32_t group = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), group);
    if (error != std::errc()) return groups;
    groups.push_back(group);
    line.remove_prefix(static_cast<size_t>(end - line.data()));
  }
  return groups;
}

}  // namespace dedupfs
