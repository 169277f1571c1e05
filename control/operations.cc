#include "control/operations.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "chunkstore/base/error.h"
#include "chunkstore/base/log.h"
#include "control/error_names.h"
#include "control/frame.h"
#include "control/scrub_operations.h"
#include "fs/file_system.h"
#include "fs/request_table.h"

namespace dedupfs {
namespace {

using nlohmann::json;

json Ratio(uint64_t numerator, uint64_t denominator) {
  if (denominator == 0) return nullptr;
  return static_cast<double>(numerator) / static_cast<double>(denominator);
}

Result<json> RunStats(FileSystem& file_system) {
  DEDUPFS_ASSIGN_OR_RETURN(const FileSystemStats stats, file_system.Stats());
  return StatsToJson(stats);
}

// Without paths: to look one up takes locks, which a request that hangs may hold.
json RequestsToJson(const DaemonInfo& daemon) {
  json requests = json::array();
  if (!daemon.requests) return requests;
  for (const RequestInFlight& request : daemon.requests()) {
    requests.push_back({{"operation", request.operation},
                        {"ino", request.ino},
                        {"age_ms", request.age_ms},
                        {"thread", request.thread},
                        {"waits_in", WhereThreadWaits(request.thread)}});
  }
  return requests;
}

Result<json> RunStatus(FileSystem& file_system, const DaemonInfo& daemon,
                       const json& /*arguments*/) {
  json result = {{"store", daemon.store},
                 {"mountpoint", daemon.mountpoint},
                 {"version", daemon.version},
                 {"pid", daemon.pid},
                 {"mounted", true},
                 {"read_only", daemon.read_only},
                 {"healthy", true},
                 {"failure", nullptr},
                 {"requests", RequestsToJson(daemon)}};
  // A store that was opened read-only has not failed, whatever it calls its state.
  if (const Status failure = file_system.Failure(); !failure && !daemon.read_only) {
    result["healthy"] = false;
    result["read_only"] = true;
    result["failure"] = failure.error().message;
  }
  // A store that has failed may not be able to tell these.
  if (const auto stats = file_system.Stats(); stats) {
    result["damaged_chunks"] = stats->store.damaged_chunks;
    result["healed_chunks"] = stats->store.healed_chunks;
  }
  if (const auto scrub = file_system.WaitForScrub(std::chrono::milliseconds(0)); scrub) {
    result["scrub"] = ScrubToJson(*scrub);
  }
  return result;
}

Result<json> RunSync(FileSystem& file_system) {
  DEDUPFS_RETURN_IF_ERROR(file_system.SyncAll());
  return json{{"synced", true}};
}

Result<json> RunReclaim(FileSystem& file_system) {
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t bytes, file_system.Reclaim());
  return json{{"reclaimed_bytes", bytes}};
}

Result<json> RunRecompress(FileSystem& file_system) {
  DEDUPFS_ASSIGN_OR_RETURN(const RewriteReport report, file_system.Recompress());
  return json{{"packs", report.packs},
              {"bytes_before", report.bytes_before},
              {"bytes_after", report.bytes_after}};
}

Result<json> RunCopies(FileSystem& file_system, const json& arguments) {
  const json drop = arguments.value("drop", json(false));
  if (!drop.is_boolean()) return Fail(EINVAL, "copies: drop: wants true or false");
  DEDUPFS_ASSIGN_OR_RETURN(const CopyReport report,
                           drop.get<bool>() ? file_system.DropCopies() : file_system.MakeCopies());
  return json{{"made_chunks", report.made_chunks},
              {"made_bytes", report.made_bytes},
              {"dropped_chunks", report.dropped_chunks},
              {"kept_chunks", report.kept_chunks},
              {"freed_bytes", report.freed_bytes}};
}

Result<json> RunProgress(FileSystem& file_system) {
  const LongWork work = file_system.WorkUnderWay();
  json result = {{"work", nullptr}, {"done", work.done}, {"total", work.total}};
  if (!work.what.empty()) result["work"] = work.what;
  return result;
}

Result<json> RunCheckpoint(FileSystem& file_system, const json& arguments) {
  const auto directory = arguments.find("directory");
  if (directory == arguments.end() || !directory->is_string() ||
      !directory->get_ref<const std::string&>().starts_with('/')) {
    return Fail(EINVAL, "checkpoint: directory: wants an absolute path");
  }
  DEDUPFS_RETURN_IF_ERROR(file_system.Checkpoint(directory->get<std::string>()));
  return json{{"directory", *directory}};
}

struct Operation {
  std::string_view name;
  Result<json> (*run)(FileSystem&, const DaemonInfo&, const json& arguments);
  std::array<std::string_view, 2> arguments;  // that it knows
};

// For what knows no arguments, or needs not know who serves.
template <Result<json> (*run)(FileSystem&)>
Result<json> Plain(FileSystem& file_system, const DaemonInfo& /*daemon*/,
                   const json& /*arguments*/) {
  return run(file_system);
}
template <Result<json> (*run)(FileSystem&, const json&)>
Result<json> Told(FileSystem& file_system, const DaemonInfo& /*daemon*/, const json& arguments) {
  return run(file_system, arguments);
}

constexpr std::array<Operation, 13> kOperations{{
    {"stats", Plain<RunStats>, {}},
    {"status", RunStatus, {}},
    {"sync", Plain<RunSync>, {}},
    {"reclaim", Plain<RunReclaim>, {}},
    {"recompress", Plain<RunRecompress>, {}},
    {"copies", Told<RunCopies>, {"drop"}},
    {"progress", Plain<RunProgress>, {}},
    {"checkpoint", Told<RunCheckpoint>, {"directory"}},
    {"scrub", Told<RunScrub>, {"bytes_per_second", "restart"}},
    {"scrub_status", Told<RunScrubStatus>, {"wait_ms"}},
    {"scrub_cancel", Told<RunScrubCancel>, {}},
    {"damaged_chunks", Told<RunDamagedChunks>, {"after"}},
    {"damaged_files", Told<RunDamagedFiles>, {"next"}},
}};

Result<json> RunRequest(FileSystem& file_system, const DaemonInfo& daemon, const Frame& request) {
  const json header = json::parse(request.header, nullptr, false);
  if (!header.is_object()) return Fail(EINVAL, "the request's header is no JSON object");
  const auto operation = header.find("operation");
  if (operation == header.end() || !operation->is_string()) {
    return Fail(EINVAL, "the request names no operation");
  }
  const json arguments = header.value("arguments", json::object());
  return RunOperation(file_system, daemon, operation->get_ref<const std::string&>(), arguments);
}

}  // namespace

json StatsToJson(const FileSystemStats& stats) {
  const StoreStats& store = stats.store;
  json result = {{"logical_bytes", store.logical_bytes},
                 {"unique_bytes", store.unique_bytes},
                 {"stored_bytes", store.stored_bytes},
                 {"physical_bytes", store.physical_bytes()},
                 {"pack_bytes", store.pack_bytes},
                 {"copy_pack_bytes", store.copy_pack_bytes},
                 {"copy_chunks", store.copy_chunks},
                 {"copy_stored_bytes", store.copy_stored_bytes},
                 {"metadata_bytes", store.metadata_bytes},
                 {"dead_stored_bytes", store.dead_stored_bytes},
                 {"dead_chunks", store.dead_chunks},
                 {"chunks", store.chunks},
                 {"packs", store.packs},
                 {"inodes", stats.inodes},
                 {"dirty_bytes", stats.dirty_bytes},
                 {"orphans", stats.orphans},
                 {"reclaiming_bytes", stats.reclaiming_bytes},
                 {"damaged_chunks", store.damaged_chunks},
                 {"healed_chunks", store.healed_chunks}};
  result["dedup_ratio"] = Ratio(store.logical_bytes, store.unique_bytes);
  result["compression_ratio"] = Ratio(store.unique_bytes, store.stored_bytes);
  result["savings"] = nullptr;
  if (store.logical_bytes > 0) {
    result["savings"] = 1.0 - static_cast<double>(store.physical_bytes()) /
                                  static_cast<double>(store.logical_bytes);
  }
  result["read_only_reason"] = nullptr;
  if (!stats.read_only_reason.empty()) result["read_only_reason"] = stats.read_only_reason;
  return result;
}

Result<json> RunOperation(FileSystem& file_system, const DaemonInfo& daemon, std::string_view name,
                          const json& arguments) {
  if (!arguments.is_object()) return Fail(EINVAL, "arguments: wants a JSON object");
  for (const Operation& operation : kOperations) {
    if (operation.name != name) continue;
    const auto& known = operation.arguments;
    for (const auto& [argument, value] : arguments.items()) {
      if (!argument.empty() && std::find(known.begin(), known.end(), argument) != known.end()) {
        continue;
      }
      return Fail(EINVAL, std::string(name) + ": unknown argument " + argument);
    }
    return operation.run(file_system, daemon, arguments);
  }
  return Fail(ENOSYS, std::string(name) + ": no such operation");
}

Frame AnswerRequest(FileSystem& file_system, const DaemonInfo& daemon, const Frame& request) {
  Frame answer;
  try {
    const Result<json> result = RunRequest(file_system, daemon, request);
    answer.header = JsonText(result ? json{{"result", *result}} : ErrorToJson(result.error()));
  } catch (const std::exception& error) {
    LogError("control_request_failed", error.what());
    answer.header = R"({"error":{"code":"EIO","errno":5,"message":"internal error; see the log"}})";
  }
  return answer;
}

}  // namespace dedupfs
