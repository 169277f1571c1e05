// How far long work has come, on stderr: a bar on a terminal, a line now and then elsewhere, both
// with an estimate of the time that is left.
//
// Thread safety: every method may be called concurrently.
// Ownership:     a value of its caller; the destructor takes the bar away.
// Units:         what is counted is bytes or plain items, by `unit`.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "chunkstore/base/mutex.h"

namespace dedupfs {

enum class ProgressUnit { kBytes, kItems };

// Where it is shown, and by which clock. Tests replace it.
struct ProgressOutput {
  bool is_terminal = false;
  std::function<void(const std::string&)> write;
  std::function<std::chrono::steady_clock::time_point()> now;
};
ProgressOutput StderrProgress();

class Progress {
 public:
  // A terminal is written to ten times a second at most, anything else every ten seconds.
  Progress(std::string what, ProgressUnit unit, ProgressOutput output = StderrProgress());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // A `total` of 0 is not known yet: nothing is estimated then.
  void Show(uint64_t done, uint64_t total);
  // Takes the bar away, so that a line can be printed.
  void Clear();

 private:
  std::string Text(uint64_t done, uint64_t total, std::chrono::milliseconds elapsed) const;

  const std::string what_;
  const ProgressUnit unit_;
  const ProgressOutput output_;
  const std::chrono::steady_clock::time_point start_;
  Mutex mutex_;
  std::chrono::steady_clock::time_point shown_ GUARDED_BY(mutex_);
  size_t bar_width_ GUARDED_BY(mutex_) = 0;  // of what stands on the terminal
};

// "7 s", "3 min", "2 h 5 min".
std::string HumanDuration(std::chrono::seconds duration);
// What is left of work that went on evenly; nothing where there is nothing to go by yet.
std::optional<std::chrono::seconds> TimeLeft(uint64_t done, uint64_t total,
                                             std::chrono::milliseconds elapsed);

}  // namespace dedupfs
