#include "control/scrub_operations.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace dedupfs {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr uint64_t kLongestWaitMs = 10'000;  // the daemon's end waits for its requests
constexpr size_t kChunksOfAPortion = 1000;

Result<uint64_t> NumberArgument(const json& arguments, const char* name) {
  const auto found = arguments.find(name);
  if (found == arguments.end()) return uint64_t{0};
  if (!found->is_number_unsigned()) {
    return Fail(EINVAL, std::string(name) + ": wants a number that is not negative");
  }
  return found->get<uint64_t>();
}

Result<bool> FlagArgument(const json& arguments, const char* name) {
  const auto found = arguments.find(name);
  if (found == arguments.end()) return false;
  if (!found->is_boolean()) return Fail(EINVAL, std::string(name) + ": wants true or false");
  return found->get<bool>();
}

const char* NameOf(ScrubStatus::State state) {
  switch (state) {
    case ScrubStatus::State::kNone:
      return "none";
    case ScrubStatus::State::kRunning:
      return "running";
    case ScrubStatus::State::kFinished:
      return "finished";
    case ScrubStatus::State::kCancelled:
      return "cancelled";
    case ScrubStatus::State::kFailed:
      return "failed";
  }
  return "none";
}

Result<json> StatusAfter(FileSystem& file_system, milliseconds wait) {
  DEDUPFS_ASSIGN_OR_RETURN(const ScrubStatus status, file_system.WaitForScrub(wait));
  return ScrubToJson(status);
}

}  // namespace

json ScrubToJson(const ScrubStatus& status) {
  const ScrubRecord& record = status.record;
  json result = {{"state", NameOf(status.state)},
                 {"error", nullptr},
                 {"resumable", record.under_way},
                 {"started_s", record.started_s},
                 {"packs_total", record.packs_total},
                 {"packs_done", record.packs_done},
                 {"total_bytes", record.bytes_total},
                 {"done_bytes", record.bytes_done},
                 {"chunks", record.chunks},
                 {"damaged_chunks", record.damaged},
                 {"seconds_left", nullptr},
                 {"run_bytes", status.run_bytes},
                 {"run_healed_chunks", status.run_healed},
                 {"run_damaged_copies", status.run_damaged_copies},
                 {"last", nullptr}};
  if (status.state == ScrubStatus::State::kFailed) result["error"] = status.error;
  if (status.seconds_left) result["seconds_left"] = *status.seconds_left;
  if (const ScrubRecord::Last& last = record.last; last.finished_s != 0) {
    result["last"] = {{"started_s", last.started_s}, {"finished_s", last.finished_s},
                      {"packs", last.packs},         {"bytes", last.bytes},
                      {"chunks", last.chunks},       {"damaged_chunks", last.damaged}};
  }
  return result;
}

Result<json> RunScrub(FileSystem& file_system, const json& arguments) {
  ScrubOptions options;
  DEDUPFS_ASSIGN_OR_RETURN(options.bytes_per_second, NumberArgument(arguments, "bytes_per_second"));
  DEDUPFS_ASSIGN_OR_RETURN(options.restart, FlagArgument(arguments, "restart"));
  DEDUPFS_RETURN_IF_ERROR(file_system.StartScrub(options));
  return StatusAfter(file_system, milliseconds(0));
}

Result<json> RunScrubStatus(FileSystem& file_system, const json& arguments) {
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t wait_ms, NumberArgument(arguments, "wait_ms"));
  return StatusAfter(file_system, milliseconds(std::min(wait_ms, kLongestWaitMs)));
}

Result<json> RunScrubCancel(FileSystem& file_system, const json& /*arguments*/) {
  file_system.CancelScrub();
  return StatusAfter(file_system, milliseconds(kLongestWaitMs));
}

Result<json> RunDamagedChunks(FileSystem& file_system, const json& arguments) {
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t after, NumberArgument(arguments, "after"));
  std::optional<ChunkId> next;
  DEDUPFS_ASSIGN_OR_RETURN(const auto chunks,
                           file_system.DamagedChunks(after, kChunksOfAPortion, next));
  json result = {{"chunks", json::array()}, {"next", nullptr}};
  for (const ChunkInfo& chunk : chunks) {
    result["chunks"].push_back({{"chunk", chunk.id},
                                {"pack", chunk.location.pack},
                                {"offset", chunk.location.offset},
                                {"bytes", chunk.raw},
                                {"references", chunk.refcount},
                                {"sha256", chunk.fingerprint.Hex()}});
  }
  if (next) result["next"] = *next;
  return result;
}

Result<json> RunDamagedFiles(FileSystem& file_system, const json& arguments) {
  DamageCursor from;
  if (const auto next = arguments.find("next"); next != arguments.end()) {
    const bool fits = next->is_array() && next->size() == 3 &&
                      std::all_of(next->begin(), next->end(),
                                  [](const json& part) { return part.is_number_unsigned(); });
    if (!fits) return Fail(EINVAL, "next: wants what the answer before said");
    from = {next->at(0).get<uint64_t>(), next->at(1).get<uint64_t>(), next->at(2).get<uint64_t>()};
  }
  DEDUPFS_ASSIGN_OR_RETURN(const DamagedFiles found, file_system.FindDamage(from));
  json result = {{"files", json::array()}, {"next", nullptr}};
  for (const DamagedFile& file : found.files) {
    json ranges = json::array();
    for (const DamagedRange& range : file.ranges) {
      ranges.push_back(
          {{"offset", range.offset}, {"length", range.length}, {"chunk", range.chunk}});
    }
    result["files"].push_back({{"path", file.path},
                               {"inode", file.ino},
                               {"other_paths", file.other_paths},
                               {"more_paths", file.more_paths},
                               {"ranges", ranges}});
  }
  if (found.next) result["next"] = {found.next->after, found.next->ino, found.next->page};
  return result;
}

}  // namespace dedupfs
