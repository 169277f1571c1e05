// Shows on standard error how far a scrub is, by the estimate of who runs it: a bar on a terminal,
// lines otherwise.
//
// Thread safety: one thread at a time.
// Units:         bytes, seconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace dedupfs {

struct ScrubState {
  uint64_t done_bytes = 0, total_bytes = 0;
  std::optional<uint64_t> seconds_left;
  std::string note;  // what else is worth saying; may be empty
};

// "  42 % [========            ] 1.2 GiB of 3.0 GiB, NOTE, 12 min left", cut at `columns`.
std::string ScrubBar(const ScrubState& state, size_t columns);
// "42 %, 1.2 GiB of 3.0 GiB, NOTE, 12 min left"
std::string ScrubLine(const ScrubState& state);

// When a line is due: at the start, with each 5 %, and each minute.
class ScrubLines {
 public:
  using Clock = std::chrono::steady_clock;
  bool IsDue(const ScrubState& state, Clock::time_point now);

 private:
  std::optional<uint64_t> percent_;
  Clock::time_point time_;
};

class ScrubProgress {
 public:
  ScrubProgress();
  void Show(const ScrubState& state);
  // Takes the bar away.
  void End();

 private:
  const bool terminal_;
  bool shown_ = false;
  ScrubLines lines_;
};

}  // namespace dedupfs
