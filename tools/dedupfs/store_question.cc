#include "tools/dedupfs/store_question.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/phase_progress.h"
#include "tools/dedupfs/store_session.h"

namespace dedupfs {

using nlohmann::json;

Result<Answer> AskStore(const std::string& target, std::string_view operation,
                        WhenUnmounted unmounted, json& result) {
  return AskStore(target, operation, json::object(), unmounted, result);
}

Result<Answer> AskStore(const std::string& target, std::string_view operation,
                        const json& arguments, WhenUnmounted unmounted, json& result) {
  DEDUPFS_ASSIGN_OR_RETURN(StoreSession session, StoreSession::Open(target, unmounted));
  DEDUPFS_ASSIGN_OR_RETURN(result, session.Ask(operation, arguments));
  DEDUPFS_RETURN_IF_ERROR(session.Close());
  return Answer{session.store(), session.mounted()};
}

Result<Answer> AskForLongWork(const std::string& target, std::string_view operation,
                              const json& arguments, json& result) {
  DEDUPFS_ASSIGN_OR_RETURN(StoreSession session,
                           StoreSession::Open(target, WhenUnmounted::kOpenToWrite));
  PhaseProgress progress;
  DEDUPFS_ASSIGN_OR_RETURN(result, session.AskLong(operation, arguments, [&](const json& now) {
    const auto number = [&now](const char* key) {
      return now.contains(key) && now[key].is_number_unsigned() ? now[key].get<uint64_t>() : 0;
    };
    const bool under_way = now.contains("work") && now["work"].is_string();
    const std::string what = under_way ? now["work"].get<std::string>() : std::string(operation);
    const auto unit = what == "rewrite" ? ProgressUnit::kBytes : ProgressUnit::kItems;
    progress.Show(what, unit, number("done"), number("total"));
  }));
  progress.Clear();
  DEDUPFS_RETURN_IF_ERROR(session.Close());
  return Answer{session.store(), session.mounted()};
}

}  // namespace dedupfs
