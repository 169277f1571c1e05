#include "chunkstore/base/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "chunkstore/base/event_limiter.h"
#include "chunkstore/base/mutex.h"

namespace dedupfs {
namespace {

spdlog::level::level_enum SpdLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

std::shared_ptr<spdlog::logger> MakeLogger(spdlog::sink_ptr sink) {
  auto logger = std::make_shared<spdlog::logger>("dedupfs", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->set_level(spdlog::level::debug);
  logger->flush_on(spdlog::level::debug);
  return logger;
}

struct State {
  std::atomic<LogLevel> level{LogLevel::kInfo};
  Mutex mutex;
  EventLimiter limiter GUARDED_BY(mutex);
  std::shared_ptr<spdlog::logger> logger GUARDED_BY(mutex) =
      MakeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
};

// Never destroyed: threads may log while the process exits.
State& TheState() {
  static auto* const state = new State;
  return *state;
}

// One line stays one line, whatever a name or a message holds.
void AppendEscaped(std::string& line, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      line.push_back(c);
      continue;
    }
    line.append("\\x");
    line.push_back(kHex[byte >> 4]);
    line.push_back(kHex[byte & 0xF]);
  }
}

}  // namespace

bool SetLogLevel(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kLevels{{
      {"debug", LogLevel::kDebug},
      {"info", LogLevel::kInfo},
      {"warn", LogLevel::kWarn},
      {"error", LogLevel::kError},
  }};
  for (const auto& [level_name, level] : kLevels) {
    if (level_name != name) continue;
    TheState().level = level;
    return true;
  }
  return false;
}

bool SetLogFile(const std::string& path) {
  std::shared_ptr<spdlog::logger> logger;
  try {
    if (path.empty()) {
      logger = MakeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    } else {
      logger = MakeLogger(std::make_shared<spdlog::sinks::basic_file_sink_mt>(path));
    }
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
  State& state = TheState();
  MutexLock lock(state.mutex);
  state.logger = std::move(logger);
  return true;
}

void Log(LogLevel level, std::string_view event, std::string_view details) {
  State& state = TheState();
  if (level < state.level) return;
  std::shared_ptr<spdlog::logger> logger;
  EventLimiter::Verdict verdict;
  {
    MutexLock lock(state.mutex);
    verdict = state.limiter.Admit(event, std::chrono::steady_clock::now());
    logger = state.logger;
  }
  std::string line;
  if (verdict.held_back > 0) {
    AppendEscaped(line, event);
    line.append(" held_back=").append(std::to_string(verdict.held_back));
    logger->log(SpdLevel(level), spdlog::string_view_t(line));
    line.clear();
  }
  if (!verdict.show) return;
  AppendEscaped(line, event);
  if (!details.empty()) {
    line.push_back(' ');
    AppendEscaped(line, details);
  }
  logger->log(SpdLevel(level), spdlog::string_view_t(line));
}

}  // namespace dedupfs
