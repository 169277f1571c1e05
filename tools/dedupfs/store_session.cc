#include "tools/dedupfs/store_session.h"

#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/operations.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {

Result<StoreSession> StoreSession::Open(const std::string& target, WhenUnmounted unmounted) {
  StoreSession session;
  DEDUPFS_ASSIGN_OR_RETURN(session.store_, StoreOf(target));
  Result<ControlClient> client = ControlClient::Connect(session.store_);
  if (client) {
    session.client_ = std::make_unique<ControlClient>(std::move(*client));
    return session;
  }
  if (client.error().code != ENOENT && client.error().code != ECONNREFUSED) {
    return Fail(client.error());
  }
  session.read_only_ = unmounted == WhenUnmounted::kOpenReadOnly;
  DEDUPFS_ASSIGN_OR_RETURN(session.file_system_,
                           FileSystem::Open(session.store_, {session.read_only_}));
  return session;
}

Result<nlohmann::json> StoreSession::Ask(std::string_view operation,
                                         const nlohmann::json& arguments) {
  if (client_ != nullptr) return client_->Call(operation, arguments);
  const DaemonInfo info{store_, "", DedupfsVersion(), ::getpid(), read_only_};
  return RunOperation(*file_system_, info, operation, arguments);
}

Status StoreSession::Close() {
  if (file_system_ == nullptr) return Ok();
  return file_system_->Close();
}

}  // namespace dedupfs
