#include "tools/dedupfs/output.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "chunkstore/base/error.h"
#include "control/error_names.h"
#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {
namespace {

std::string Fixed(double value, int digits, const char* unit) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f%s", digits, value, unit);
  return text.data();
}

}  // namespace

void PrintLine(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void PrintJson(const nlohmann::json& value) { PrintLine(JsonText(value)); }

void PrintMessage(const std::string& message) {
  std::fprintf(stderr, "dedupfs: %s\n", message.c_str());
}

ExitCode Explain(const Error& error, ExitCode exit_code, bool json) {
  PrintMessage(error.message);
  if (json) PrintJson(ErrorToJson(error));
  return exit_code;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{" KiB", " MiB", " GiB", " TiB", " PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return Fixed(value, 1, kUnits.at(unit));
}

std::string HumanCount(uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string HumanTime(uint64_t seconds) {
  const auto two = [](uint64_t first, const char* unit, uint64_t second, const char* smaller) {
    std::string text = std::to_string(first) + unit;
    if (second > 0) text += " " + std::to_string(second) + smaller;
    return text;
  };
  const uint64_t minutes = seconds / 60;
  const uint64_t hours = minutes / 60;
  if (minutes == 0) return std::to_string(seconds) + " s";
  if (hours == 0) return std::to_string(minutes) + " min";
  if (hours < 24) return two(hours, " h", minutes % 60, " min");
  return two(hours / 24, " d", hours % 24, " h");
}

std::string HumanDate(uint64_t seconds) {
  const auto time = static_cast<time_t>(seconds);
  struct tm parts {};
  std::array<char, 64> text{};
  if (::gmtime_r(&time, &parts) == nullptr) return std::to_string(seconds);
  if (std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &parts) == 0) return "-";
  return text.data();
}

std::string HumanRatio(const nlohmann::json& value) {
  return value.is_number() ? Fixed(value.get<double>(), 2, "") : "-";
}

std::string HumanPercent(const nlohmann::json& value) {
  return value.is_number() ? Fixed(value.get<double>() * 100, 1, " %") : "-";
}

}  // namespace dedupfs
