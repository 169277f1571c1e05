#include "tools/dedupfs/store_session.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "chunkstore/base/mutex.h"
#include "chunkstore/base/thread_pool.h"
#include "control/operations.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/store_path.h"

namespace dedupfs {
namespace {

constexpr std::chrono::milliseconds kLook{250};

}  // namespace

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

Result<nlohmann::json> StoreSession::AskLong(
    std::string_view operation, const nlohmann::json& arguments,
    const std::function<void(const nlohmann::json&)>& show) {
  using nlohmann::json;
  // A connection answers one request after the other. Without a second one nothing is shown.
  std::optional<ControlClient> beside;
  if (client_ != nullptr) {
    if (auto client = ControlClient::Connect(store_)) beside.emplace(std::move(*client));
  }
  const auto look = [&]() -> Result<json> {
    if (client_ == nullptr) return Ask("progress", json::object());
    if (!beside) return Fail(ENOTCONN, "no connection to ask for progress");
    return beside->Call("progress", json::object());
  };
  Mutex mutex;
  CondVar ended;
  std::optional<Result<json>> answer;
  std::thread worker([&] {
    NameThisThread("ask");
    Result<json> result = Fail(EIO, "the request ended early");
    try {
      result = Ask(operation, arguments);
    } catch (const std::exception& error) {
      result = Fail(EIO, error.what());
    }
    const MutexLock lock(mutex);
    answer = std::move(result);
    ended.NotifyAll();
  });
  show(json::object());
  MutexLock lock(mutex);
  while (!answer) {
    const auto next = std::chrono::steady_clock::now() + kLook;
    while (!answer && ended.WaitUntil(lock, next)) {
    }
    if (answer) break;
    lock.Unlock();
    const Result<json> progress = look();
    if (progress) show(*progress);
    lock.Lock();
  }
  lock.Unlock();
  worker.join();
  return std::move(*answer);
}

Status StoreSession::Close() {
  if (file_system_ == nullptr) return Ok();
  return file_system_->Close();
}

}  // namespace dedupfs
