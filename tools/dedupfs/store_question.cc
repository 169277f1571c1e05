#include "tools/dedupfs/store_question.h"

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "control/client.h"
#include "control/operations.h"
#include "fs/file_system.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {
namespace {

using nlohmann::json;

Result<json> AskUnmounted(const std::string& store, std::string_view operation,
                          const json& arguments, WhenUnmounted unmounted) {
  const bool read_only = unmounted == WhenUnmounted::kOpenReadOnly;
  DEDUPFS_ASSIGN_OR_RETURN(const std::unique_ptr<FileSystem> file_system,
                           FileSystem::Open(store, {read_only}));
  const DaemonInfo info{store, "", DedupfsVersion(), ::getpid(), read_only};
  DEDUPFS_ASSIGN_OR_RETURN(json result, RunOperation(*file_system, info, operation, arguments));
  DEDUPFS_RETURN_IF_ERROR(file_system->Close());
  return result;
}

}  // namespace

Result<Answer> AskStore(const std::string& target, std::string_view operation,
                        WhenUnmounted unmounted, json& result) {
  return AskStore(target, operation, json::object(), unmounted, result);
}

Result<Answer> AskStore(const std::string& target, std::string_view operation,
                        const json& arguments, WhenUnmounted unmounted, json& result) {
  Answer answer;
  DEDUPFS_ASSIGN_OR_RETURN(answer.store, StoreOf(target));
  Result<ControlClient> client = ControlClient::Connect(answer.store);
  if (client) {
    answer.mounted = true;
    DEDUPFS_ASSIGN_OR_RETURN(result, client->Call(operation, arguments));
    return answer;
  }
  if (client.error().code != ENOENT && client.error().code != ECONNREFUSED) {
    return Fail(client.error());
  }
  DEDUPFS_ASSIGN_OR_RETURN(result, AskUnmounted(answer.store, operation, arguments, unmounted));
  return answer;
}

}  // namespace dedupfs
