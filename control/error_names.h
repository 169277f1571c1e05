// Errors as the control socket and `--json` tell them: {"error":{"code","errno","message"}}.
//
// Thread safety: functions without state.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

// "ENOSPC" for 28; "E28" for a number without a name.
std::string ErrnoName(int code);

nlohmann::json ErrorToJson(const Error& error);

// The error that `answer` holds, if it has an "error" of the right shape.
bool ErrorFromJson(const nlohmann::json& answer, Error& error);

// One line, with bytes that are not UTF-8 replaced: JSON cannot hold them.
std::string JsonText(const nlohmann::json& value);

}  // namespace dedupfs
