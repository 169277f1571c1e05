#include "tools/dedupfs/store_question.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
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

}  // namespace dedupfs
