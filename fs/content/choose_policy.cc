#include "fs/content/choose_policy.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace dedupfs {
namespace {

// VM images and databases change in place, in blocks: fixed blocks find more there (DESIGN 4).
constexpr uint32_t kFixedBlock = 4096;

constexpr std::array<std::string_view, 16> kBlockNames = {
    ".img", ".raw",    ".qcow2",   ".qcow", ".vmdk", ".vdi", ".vhd", ".vhdx",
    ".iso", ".sqlite", ".sqlite3", ".db",   ".mdf",  ".ibd", ".ldf", ".dbf"};

struct Magic {
  size_t offset;
  std::string_view bytes;
};
constexpr std::array<Magic, 6> kBlockMagic = {{
    {0, std::string_view("SQLite format 3\0", 16)},
    {0, "QFI\xfb"},
    {0, "KDMV"},
    {0, "conectix"},
    {0, "vhdxfile"},
    {0x40, "\x7f\x10\xda\xbe"},  // VirtualBox
}};

bool EndsWithNoCase(std::string_view text, std::string_view end) {
  if (text.size() < end.size()) return false;
  return std::equal(end.begin(), end.end(), text.end() - static_cast<ptrdiff_t>(end.size()),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
}

std::string_view ReasonName(PolicyReason reason) {
  switch (reason) {
    case PolicyReason::kDefault:
      return "default";
    case PolicyReason::kLibrary:
      return "library";
    case PolicyReason::kName:
      return "name";
    case PolicyReason::kMagic:
      return "magic";
  }
  return "unknown";
}

}  // namespace

std::optional<std::optional<ChunkPolicy>> ParseLibraryRule(uint32_t average,
                                                           std::string_view rule) {
  if (rule == "auto") return std::optional<ChunkPolicy>();
  const size_t colon = rule.find(':');
  const std::string_view kind = rule.substr(0, colon);
  ChunkPolicy policy;
  if (kind == "fixed") {
    policy = {ChunkingKind::kFixed, kFixedBlock};
  } else if (kind == "content") {
    policy = {ChunkingKind::kContentDefined, average};
  } else {
    return std::nullopt;
  }
  if (colon != std::string_view::npos) {
    const std::string_view number = rule.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), policy.average);
    if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  }
  if (!ValidatePolicy(policy)) return std::nullopt;
  return std::optional<ChunkPolicy>(policy);
}

ChosenPolicy ChoosePolicy(uint32_t average, std::string_view library_rule, std::string_view name,
                          Bytes head) {
  if (const auto rule = ParseLibraryRule(average, library_rule); rule.has_value() && rule->has_value()) {
    return {**rule, PolicyReason::kLibrary};
  }
  const ChunkPolicy fixed{ChunkingKind::kFixed, kFixedBlock};
  for (const std::string_view end : kBlockNames) {
    if (EndsWithNoCase(name, end)) return {fixed, PolicyReason::kName};
  }
  for (const Magic& magic : kBlockMagic) {
    if (head.size() >= magic.offset + magic.bytes.size() &&
        AsText(head.subspan(magic.offset, magic.bytes.size())) == magic.bytes) {
      return {fixed, PolicyReason::kMagic};
    }
  }
  return {{ChunkingKind::kContentDefined, average}, PolicyReason::kDefault};
}

std::string DescribePolicy(const ChunkPolicy& policy, PolicyReason reason) {
  std::string text = policy.kind == ChunkingKind::kFixed ? "fixed:" : "content:";
  text += std::to_string(policy.average);
  text += " (";
  text += ReasonName(reason);
  text += ")";
  return text;
}

}  // namespace dedupfs
