#include "chunkstore/base/idle_cores.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace dedupfs {

std::optional<CpuTimes> ParseCpuTimes(std::string_view stat) {
  constexpr std::string_view kAllCores = "cpu ";
  if (stat.substr(0, kAllCores.size()) != kAllCores) return std::nullopt;
  const char* at = stat.data() + kAllCores.size();
  const char* const end = stat.data() + std::min(stat.find('\n'), stat.size());
  // user nice system idle iowait irq softirq steal; what follows is part of user and nice.
  std::array<uint64_t, 8> times{};
  for (uint64_t& time : times) {
    while (at != end && *at == ' ') ++at;
    const auto [next, error] = std::from_chars(at, end, time);
    if (error != std::errc()) return std::nullopt;
    at = next;
  }
  CpuTimes result;
  for (const uint64_t time : times) result.total += time;
  result.idle = times[3] + times[4];
  return result;
}

double IdleShareBetween(const CpuTimes& earlier, const CpuTimes& later) {
  // The kernel's times may step back a little.
  if (later.total <= earlier.total || later.idle <= earlier.idle) return 0;
  const auto idle = static_cast<double>(later.idle - earlier.idle);
  return std::min(1.0, idle / static_cast<double>(later.total - earlier.total));
}

double IdleCores::ShareSinceLastAsked() {
  std::string line;
  std::ifstream stat("/proc/stat");
  std::getline(stat, line);
  const std::optional<CpuTimes> now = ParseCpuTimes(line);
  MutexLock lock(mutex_);
  const std::optional<CpuTimes> earlier = std::exchange(last_, now);
  return earlier && now ? IdleShareBetween(*earlier, *now) : 0;
}

}  // namespace dedupfs
