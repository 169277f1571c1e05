// Asks a store something: its daemon while it is mounted, else the store itself, opened for it.
//
// Thread safety: functions without state.
// Errors:        of the operation or of opening the store; StoreExitCode() knows them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/store_session.h"

namespace dedupfs {

struct Answer {
  std::string store;
  bool mounted = false;
};

// Runs `operation` and puts its result into `result`.
Result<Answer> AskStore(const std::string& target, std::string_view operation,
                        WhenUnmounted unmounted, nlohmann::json& result);
Result<Answer> AskStore(const std::string& target, std::string_view operation,
                        const nlohmann::json& arguments, WhenUnmounted unmounted,
                        nlohmann::json& result);

// The same of "reclaim", "recompress" or "copies", with its progress on stderr. Opened to write.
Result<Answer> AskForLongWork(const std::string& target, std::string_view operation,
                              const nlohmann::json& arguments, nlohmann::json& result);

}  // namespace dedupfs
