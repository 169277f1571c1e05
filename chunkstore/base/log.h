// The project's log: `event key=value ...`, by level (spdlog underneath, in log.cc only).
//
// Thread safety: every function may be called concurrently.
// warn = degraded, error = an operator must act. File names at debug only, content never.
// A line that repeats the same event more than 10 times in 10 s is held back and counted.
#pragma once

#include <string>
#include <string_view>

namespace dedupfs {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

// To stderr at first. Level names: debug, info, warn, error; false for another.
bool SetLogLevel(std::string_view name);
// Sends further lines to `path` (appended), or to stderr again where it is empty; false if it cannot be opened.
bool SetLogFile(const std::string& path);

void Log(LogLevel level, std::string_view event, std::string_view details = {});
inline void LogDebug(std::string_view event, std::string_view details = {}) { Log(LogLevel::kDebug, event, details); }
inline void LogInfo(std::string_view event, std::string_view details = {}) { Log(LogLevel::kInfo, event, details); }
inline void LogWarn(std::string_view event, std::string_view details = {}) { Log(LogLevel::kWarn, event, details); }
inline void LogError(std::string_view event, std::string_view details = {}) { Log(LogLevel::kError, event, details); }

}  // namespace dedupfs
