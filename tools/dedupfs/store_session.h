// A store that can be asked several things: its daemon while it is mounted, else the store itself,
// opened for it until the session ends.
//
// Thread safety: a session belongs to one thread at a time.
// Ownership:     owns its connection or the opened FileSystem.
// Errors:        of the operation or of opening the store; StoreExitCode() knows them.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "control/client.h"
#include "fs/file_system.h"

namespace dedupfs {

enum class WhenUnmounted { kOpenReadOnly, kOpenToWrite };

class StoreSession {
 public:
  static Result<StoreSession> Open(const std::string& target, WhenUnmounted unmounted);

  // The result of `operation`.
  Result<nlohmann::json> Ask(std::string_view operation, const nlohmann::json& arguments);
  // The same of "reclaim", "recompress" or "copies", which take long: `show` gets what "progress"
  // tells, once at the beginning and then a few times a second.
  Result<nlohmann::json> AskLong(std::string_view operation, const nlohmann::json& arguments,
                                 const std::function<void(const nlohmann::json&)>& show);
  // Closes the store if it was opened; tells what that met.
  Status Close();

  const std::string& store() const { return store_; }
  bool mounted() const { return client_ != nullptr; }

 private:
  StoreSession() = default;

  std::string store_;
  bool read_only_ = false;
  std::unique_ptr<ControlClient> client_;
  std::unique_ptr<FileSystem> file_system_;
};

}  // namespace dedupfs
