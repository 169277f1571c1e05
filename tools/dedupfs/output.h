// What the subcommands print: results to stdout, messages to stderr.
//
// Thread safety: functions without state; one thread prints at a time.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {

void PrintLine(const std::string& line);
void PrintJson(const nlohmann::json& value);
// "dedupfs: message" to stderr.
void PrintMessage(const std::string& message);

// Tells an error, with `json` also as {"error":...} on stdout, and returns `exit_code`.
ExitCode Explain(const Error& error, ExitCode exit_code, bool json);

// "1.5 MiB", "17 bytes".
std::string HumanBytes(uint64_t bytes);
// "1 chunk", "3 chunks".
std::string HumanCount(uint64_t count, const std::string& what);
// "45 s", "12 min", "3 h 20 min", "2 d 3 h".
std::string HumanTime(uint64_t seconds);
// "2026-01-31 14:05 UTC", of seconds since 1970.
std::string HumanDate(uint64_t seconds);
// "3.25" ; "-" where `value` is null.
std::string HumanRatio(const nlohmann::json& value);
// "66.7 %"; "-" where `value` is null.
std::string HumanPercent(const nlohmann::json& value);

}  // namespace dedupfs
