#include "chunkstore/base/config.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "chunkstore/base/toml.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxConfigFile = size_t{1} << 20;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kTiB = uint64_t{1} << 40;

struct NumberSetting {
  std::string_view key;
  uint64_t Config::*field;
  uint64_t min, max;
  bool is_size;  // may have a unit
};

constexpr std::array<NumberSetting, 10> kNumbers{{
    {"metadata_cache_bytes", &Config::metadata_cache_bytes, kMiB, kTiB, true},
    {"chunk_cache_bytes", &Config::chunk_cache_bytes, kMiB, kTiB, true},
    {"dirty_budget_bytes", &Config::dirty_budget_bytes, kMiB, kTiB, true},
    {"commit_interval_ms", &Config::commit_interval_ms, 10, 600'000, false},
    {"reserve_bytes", &Config::reserve_bytes, 0, 16 * kTiB, true},
    {"threads", &Config::threads, 0, 1024, false},
    {"recompress_level", &Config::recompress_level, 0, 19, false},
    {"recompress_after_quiet_ms", &Config::recompress_after_quiet_ms, 100, 86'400'000, false},
    {"extra_copy_references", &Config::extra_copy_references, 0, 1'000'000'000'000, false},
    {"request_warn_ms", &Config::request_warn_ms, 0, 86'400'000, false},
}};

constexpr std::array<std::string_view, 4> kLogLevels{"debug", "info", "warn", "error"};

// "512 MiB", "512MiB" or "512".
std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  constexpr std::array<std::pair<std::string_view, int>, 6> kUnits{
      {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};
  for (const auto& [name, shift] : kUnits) {
    if (name != unit) continue;
    if (number > (std::numeric_limits<uint64_t>::max() >> shift)) return std::nullopt;
    return number << shift;
  }
  return std::nullopt;
}

class ConfigReader {
 public:
  explicit ConfigReader(std::string path) : path_(std::move(path)) {}

  Status Read(const toml::table& table, Config& config) const {
    for (const auto& [key, node] : table) {
      DEDUPFS_RETURN_IF_ERROR(ReadOne(key, node, config));
    }
    return Ok();
  }

  tl::unexpected<Error> Bad(const toml::source_region& where, std::string_view what) const {
    return Fail(EINVAL, path_ + ":" + std::to_string(where.begin.line) + ": " + std::string(what));
  }

 private:
  Status ReadOne(const toml::key& key, const toml::node& node, Config& config) const {
    if (key.str() == "log_level") return ReadLogLevel(node, config);
    const auto* setting = std::find_if(kNumbers.begin(), kNumbers.end(),
                                       [&](const auto& one) { return one.key == key.str(); });
    if (setting == kNumbers.end()) {
      return Bad(key.source(), std::string(key.str()) + ": unknown setting");
    }
    return ReadNumber(*setting, node, config);
  }

  Status ReadNumber(const NumberSetting& setting, const toml::node& node, Config& config) const {
    const std::string name(setting.key);
    std::optional<uint64_t> value;
    if (const auto* number = node.as_integer()) {
      if (number->get() >= 0) value = static_cast<uint64_t>(number->get());
    } else if (const auto* text = node.as_string(); text != nullptr && setting.is_size) {
      value = ParseSize(text->get());
      if (!value) return Bad(node.source(), name + ": wants a size such as \"512 MiB\"");
    } else {
      return Bad(node.source(), name + (setting.is_size ? ": wants a number or a size in quotes"
                                                        : ": wants a whole number"));
    }
    if (!value || *value < setting.min || *value > setting.max) {
      return Bad(node.source(), name + ": must be from " + std::to_string(setting.min) + " to " +
                                    std::to_string(setting.max));
    }
    config.*setting.field = *value;
    return Ok();
  }

  Status ReadLogLevel(const toml::node& node, Config& config) const {
    const auto* text = node.as_string();
    if (text == nullptr ||
        std::find(kLogLevels.begin(), kLogLevels.end(), text->get()) == kLogLevels.end()) {
      return Bad(node.source(), "log_level: must be debug, info, warn or error");
    }
    config.log_level = text->get();
    return Ok();
  }

  const std::string path_;
};

}  // namespace

Result<Config> LoadConfig(const std::string& path) {
  const Result<std::string> content = PosixEnv().ReadAll(path, kMaxConfigFile);
  Config config;
  if (!content) {
    if (content.error().code == ENOENT) return config;
    return Fail(content.error());
  }
  const ConfigReader reader(path);
  const toml::parse_result parsed = ParseToml(*content, path);
  if (!parsed) return reader.Bad(parsed.error().source(), parsed.error().description());
  DEDUPFS_RETURN_IF_ERROR(reader.Read(parsed.table(), config));
  return config;
}

}  // namespace dedupfs
