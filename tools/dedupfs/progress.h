// How far long work has come, on stderr: a bar on a terminal, a line now and then elsewhere, both
// with an estimate of the time that is left.
//
// Thread safety: every method may be called concurrently.
// Ownership:     a value of its caller; the destructor takes the bar away.
// Units:         what is counted is bytes or plain items, by `unit`.
#pragma once

#include <chrono>
#include <cstddef>
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
  size_t columns = 80;  // of the terminal
  std::function<void(const std::string&)> write;
  std::function<std::chrono::steady_clock::time_point()> now;
};
ProgressOutput StderrProgress();

struct ProgressState {
  uint64_t done = 0;
  uint64_t total = 0;  // 0: not known yet; nothing is estimated then
  // The estimate of who does the work; else it is made from the time since the beginning.
  bool knows_time_left = false;
  std::optional<std::chrono::seconds> time_left = {};
  std::string note = {};  // what else is worth saying
};

class Progress {
 public:
  // A terminal is written to at once, then ten times a second at most, anything else every ten
  // seconds.
  Progress(std::string what, ProgressUnit unit, ProgressOutput output = StderrProgress());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(const ProgressState& state);
  void Show(uint64_t done, uint64_t total) { Show({.done = done, .total = total}); }
  // The same, whenever the last one was.
  void ShowNow(const ProgressState& state);
  // Takes the bar away, so that a line can be printed.
  void Clear();

 private:
  std::string Text(const ProgressState& state, std::chrono::milliseconds elapsed) const;
  void Write(const ProgressState& state) REQUIRES(mutex_);

  const std::string what_;
  const ProgressUnit unit_;
  const ProgressOutput output_;
  const std::chrono::steady_clock::time_point start_;
  Mutex mutex_;
  std::optional<std::chrono::steady_clock::time_point> shown_ GUARDED_BY(mutex_);
  bool bar_stands_ GUARDED_BY(mutex_) = false;
};

// What is left of work that went on evenly; nothing where there is nothing to go by yet.
std::optional<std::chrono::seconds> TimeLeft(uint64_t done, uint64_t total,
                                             std::chrono::milliseconds elapsed);

}  // namespace dedupfs
