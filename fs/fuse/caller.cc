#include "fs/fuse/caller.h"

#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

namespace dedupfs {

Caller CallerOf(fuse_req_t request) {
  const fuse_ctx* context = fuse_req_ctx(request);
  Caller caller;
  caller.uid = context->uid;
  caller.gid = context->gid;
  caller.umask = context->umask;
  caller.groups = [thread = context->pid] { return GroupsOfThread(thread); };
  return caller;
}

// In place of fuse_req_getgroups(), which in libfuse 3.14 reads beyond its buffer.
std::vector<uint32_t> GroupsOfThread(pid_t thread) {
  if (thread <= 0) return {};  // a caller outside this pid namespace
  const std::string id = std::to_string(thread);
  std::ifstream file("/proc/" + id + "/task/" + id + "/status");
  std::ostringstream text;
  text << file.rdbuf();
  return ParseGroups(text.str());
}

std::vector<uint32_t> ParseGroups(std::string_view status) {
  constexpr std::string_view kLabel = "\nGroups:";
  const size_t label = status.find(kLabel);
  if (label == std::string_view::npos) return {};
  std::string_view line = status.substr(label + kLabel.size());
  line = line.substr(0, line.find('\n'));
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
