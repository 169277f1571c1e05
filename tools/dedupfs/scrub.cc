#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "chunkstore/base/error.h"
#include "fs/damage.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/progress.h"
#include "tools/dedupfs/store_session.h"

namespace dedupfs {
namespace {

using nlohmann::json;

constexpr uint64_t kWaitMs = 500;            // between two looks at a scrub that runs
constexpr size_t kMaxListedOfEach = 10'000;  // --json: all are counted, these are listed

volatile std::sig_atomic_t interrupted = 0;

// What is to be cancelled then runs in the daemon, or on another thread.
void NoteSignals() {
  struct sigaction action {};
  action.sa_handler = [](int /*number*/) { interrupted = 1; };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

uint64_t Number(const json& object, const char* key) { return object.value(key, uint64_t{0}); }

ProgressState StateOf(const json& scrub) {
  ProgressState state;
  state.done = Number(scrub, "done_bytes");
  state.total = Number(scrub, "total_bytes");
  const json left = scrub.value("seconds_left", json());
  // Only who scrubs knows how much of it an earlier run did.
  state.knows_time_left = true;
  if (left.is_number_unsigned()) state.time_left = std::chrono::seconds(left.get<uint64_t>());
  const uint64_t damaged = Number(scrub, "damaged_chunks");
  if (damaged > 0) state.note = std::to_string(damaged) + " damaged";
  return state;
}

// Until the scrub has ended one way or the other; what it told last.
Result<json> RunToItsEnd(StoreSession& session, const ScrubCommand& command) {
  json arguments = {{"restart", command.restart}};
  if (command.rate_mb > 0) {
    arguments["bytes_per_second"] = static_cast<uint64_t>(std::max(1.0, command.rate_mb * 1e6));
  }
  DEDUPFS_ASSIGN_OR_RETURN(json scrub, session.Ask("scrub", arguments));
  Progress progress("scrub", ProgressUnit::kBytes);
  bool told = false;
  bool cancelled = false;
  while (scrub.value("state", std::string()) == "running") {
    const ProgressState state = StateOf(scrub);
    if (!told && state.total > 0) {
      progress.ShowNow(state);  // where an earlier run has ended
      told = true;
    } else if (told) {
      progress.Show(state);
    }
    const bool cancel = interrupted != 0 && !cancelled;
    cancelled = cancelled || cancel;
    auto next = cancel ? session.Ask("scrub_cancel", json::object())
                       : session.Ask("scrub_status", {{"wait_ms", kWaitMs}});
    if (!next) return next;
    scrub = std::move(*next);
  }
  progress.ShowNow(StateOf(scrub));
  return scrub;
}

// What is known to be damaged: printed as it comes, or gathered for JSON.
class DamageReport {
 public:
  DamageReport(StoreSession& session, bool as_json) : session_(session), json_(as_json) {}

  Status Make() {
    DEDUPFS_RETURN_IF_ERROR(ForEachPortion("damaged_chunks", "after", "chunks",
                                           [this](const json& chunk) { AddChunk(chunk); }));
    if (chunks_ == 0) return Ok();
    return ForEachPortion("damaged_files", "next", "files",
                          [this](const json& file) { AddFile(file); });
  }
  void AddTo(json& result) const {
    result["known_damaged_chunks"] = chunks_;
    result["damaged_files"] = files_;
    result["damaged_chunk_list"] = chunk_list_;
    result["damaged_file_list"] = file_list_;
  }
  uint64_t chunks() const { return chunks_; }
  uint64_t files() const { return files_; }

 private:
  template <typename Visit>
  Status ForEachPortion(std::string_view operation, const char* from, const char* items,
                        const Visit& visit) {
    json arguments = json::object();
    while (true) {
      DEDUPFS_ASSIGN_OR_RETURN(const json portion, session_.Ask(operation, arguments));
      for (const json& item : portion.value(items, json::array())) visit(item);
      const json next = portion.value("next", json());
      if (next.is_null()) return Ok();
      arguments[from] = next;
    }
  }

  void AddChunk(const json& chunk) {
    ++chunks_;
    if (json_) {
      if (chunk_list_.size() < kMaxListedOfEach) chunk_list_.push_back(chunk);
      return;
    }
    PrintLine("chunk " + std::to_string(Number(chunk, "chunk")) + " is damaged: in pack " +
              std::to_string(Number(chunk, "pack")) + " at offset " +
              std::to_string(Number(chunk, "offset")) + ", " + HumanBytes(Number(chunk, "bytes")) +
              ", " + HumanCount(Number(chunk, "references"), "reference"));
  }

  void AddFile(const json& file) {
    const uint64_t inode = Number(file, "inode");
    const bool again = inode == last_inode_;  // one with many ranges comes several times
    if (!again) ++files_;
    last_inode_ = inode;
    if (json_) {
      if (file_list_.size() < kMaxListedOfEach) file_list_.push_back(file);
      return;
    }
    const std::string path = file.value("path", std::string());
    if (!again) PrintOtherPaths(file, path);
    for (const json& range : file.value("ranges", json::array())) {
      const uint64_t offset = Number(range, "offset");
      PrintLine(path + ": " + RangeText(offset, Number(range, "length")) +
                " lie in damaged chunk " + std::to_string(Number(range, "chunk")));
    }
  }

  // Each of them is a file that cannot be read whole.
  static void PrintOtherPaths(const json& file, const std::string& path) {
    for (const json& other : file.value("other_paths", json::array())) {
      PrintLine(other.get<std::string>() + ": another name of " + path);
    }
    const uint64_t more = Number(file, "more_paths");
    if (more > 0) PrintLine(path + ": has " + HumanCount(more, "more name"));
  }

  StoreSession& session_;
  const bool json_;
  uint64_t chunks_ = 0;
  uint64_t files_ = 0;
  uint64_t last_inode_ = 0;
  json chunk_list_ = json::array();
  json file_list_ = json::array();
};

void PrintSum(const json& scrub, const DamageReport& damage) {
  std::string line = "verified " + HumanCount(Number(scrub, "chunks"), "chunk") + ", " +
                     HumanBytes(Number(scrub, "done_bytes")) + " stored: ";
  const uint64_t healed = Number(scrub, "run_healed_chunks");
  const uint64_t copies = Number(scrub, "run_damaged_copies");
  if (damage.chunks() == 0 && healed == 0 && copies == 0) {
    line += "no damage";
  } else if (damage.chunks() == 0) {
    line += "no damage is left";
  } else {
    line += HumanCount(damage.chunks(), "damaged chunk") + ", which " +
            HumanCount(damage.files(), "file") + (damage.files() == 1 ? " uses" : " use") +
            ". Writing the same content into the same files heals them";
  }
  if (healed > 0) line += "; " + HumanCount(healed, "damaged chunk") + " healed by extra copies";
  if (copies > 0)
    line += "; " + HumanCount(copies, "record") + " of extra copies damaged, to be made anew";
  PrintLine(line);
}

ExitCode Conclude(StoreSession& session, const ScrubCommand& command, json scrub) {
  DamageReport damage(session, command.json);
  const Status made = damage.Make();
  if (!made) return Explain(made.error(), StoreExitCode(made.error()), command.json);
  const Status closed = session.Close();
  if (!closed) return Explain(closed.error(), kExitFailure, command.json);
  const std::string state = scrub.value("state", std::string());
  if (command.json) {
    scrub["store"] = session.store();
    damage.AddTo(scrub);
    PrintJson(scrub);
  } else {
    PrintSum(scrub, damage);
  }
  if (state == "finished") return damage.chunks() == 0 ? kExitOk : kExitDamage;
  const json error = scrub.value("error", json());
  PrintMessage(error.is_string() ? "the scrub failed: " + error.get<std::string>()
                                 : "the scrub was cancelled; the next one goes on where it was");
  return kExitFailure;
}

}  // namespace

ExitCode Run(const ScrubCommand& command) {
  NoteSignals();
  Result<StoreSession> session = StoreSession::Open(command.target, WhenUnmounted::kOpenToWrite);
  if (!session) return Explain(session.error(), StoreExitCode(session.error()), command.json);
  const Result<json> scrub = RunToItsEnd(*session, command);
  if (!scrub) return Explain(scrub.error(), StoreExitCode(scrub.error()), command.json);
  return Conclude(*session, command, *scrub);
}

}  // namespace dedupfs
