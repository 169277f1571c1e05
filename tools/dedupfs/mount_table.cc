#include "tools/dedupfs/mount_table.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/error.h"

namespace dedupfs {
namespace {

constexpr const char* kTablePath = "/proc/self/mountinfo";

std::string_view TakeUntil(std::string_view& text, char end) {
  const size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

// The kernel writes space, tab, newline and backslash as \ooo.
std::string Unescape(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && IsOctal(text[i + 1]) && IsOctal(text[i + 2]) &&
        IsOctal(text[i + 3])) {
      const int code = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
      result.push_back(static_cast<char>(code));
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

}  // namespace

std::vector<MountEntry> ParseMountTable(std::string_view table) {
  std::vector<MountEntry> entries;
  while (!table.empty()) {
    std::string_view line = TakeUntil(table, '\n');
    constexpr int kFieldsBeforeMountpoint = 4;
    for (int i = 0; i < kFieldsBeforeMountpoint; ++i) TakeUntil(line, ' ');
    const std::string_view mountpoint = TakeUntil(line, ' ');
    constexpr std::string_view kSeparator = " - ";
    const size_t separator = line.find(kSeparator);
    if (separator == std::string_view::npos) continue;
    line.remove_prefix(separator + kSeparator.size());
    if (TakeUntil(line, ' ') != "fuse.dedupfs") continue;
    entries.push_back({Unescape(mountpoint), Unescape(TakeUntil(line, ' '))});
  }
  return entries;
}

Result<std::vector<MountEntry>> ReadMountTable() {
  // Not by Env: the files of /proc have no size.
  std::ifstream file(kTablePath);
  std::ostringstream table;
  table << file.rdbuf();
  if (!file || !table) return Fail(EIO, std::string(kTablePath) + ": cannot be read");
  return ParseMountTable(table.str());
}

Result<std::optional<MountEntry>> FindMount(const std::string& path) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<MountEntry> entries, ReadMountTable());
  const auto found =
      std::find_if(entries.rbegin(), entries.rend(), [&path](const MountEntry& entry) {
        return entry.mountpoint == path || entry.source == path;
      });
  if (found == entries.rend()) return std::optional<MountEntry>();
  return std::optional<MountEntry>(*found);
}

}  // namespace dedupfs
