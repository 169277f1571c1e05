#include "tools/dedupfs/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "tools/dedupfs/output.h"

namespace dedupfs {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kBarInterval{100};
constexpr milliseconds kLineInterval{10'000};
constexpr milliseconds kTooSoonToTell{1000};
constexpr size_t kBarCells = 30;

}  // namespace

ProgressOutput StderrProgress() {
  ProgressOutput output;
  output.is_terminal = ::isatty(STDERR_FILENO) == 1;
  output.write = [](const std::string& text) {
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
  };
  output.now = [] { return std::chrono::steady_clock::now(); };
  return output;
}

std::string HumanDuration(seconds duration) {
  const auto count = duration.count();
  if (count < 100) return std::to_string(count) + " s";
  const auto minutes = (count + 30) / 60;
  if (minutes < 100) return std::to_string(minutes) + " min";
  return std::to_string(minutes / 60) + " h " + std::to_string(minutes % 60) + " min";
}

std::optional<seconds> TimeLeft(uint64_t done, uint64_t total, milliseconds elapsed) {
  if (done == 0 || total == 0 || elapsed < kTooSoonToTell) return std::nullopt;
  if (done >= total) return seconds(0);
  const double left = static_cast<double>(elapsed.count()) * static_cast<double>(total - done) /
                      static_cast<double>(done);
  return seconds(std::llround(left / 1000));
}

Progress::Progress(std::string what, ProgressUnit unit, ProgressOutput output)
    : what_(std::move(what)),
      unit_(unit),
      output_(std::move(output)),
      start_(output_.now()),
      shown_(start_) {}

Progress::~Progress() { Clear(); }

std::string Progress::Text(uint64_t done, uint64_t total, milliseconds elapsed) const {
  const auto count = [this](uint64_t value) {
    return unit_ == ProgressUnit::kBytes ? HumanBytes(value) : std::to_string(value);
  };
  if (total == 0) return what_ + ": " + count(done);
  const uint64_t shown = std::min(done, total);
  const double share = static_cast<double>(shown) / static_cast<double>(total);
  std::string text = what_ + ": ";
  if (output_.is_terminal) {
    const auto filled = static_cast<size_t>(share * kBarCells);
    text += "[" + std::string(filled, '#') + std::string(kBarCells - filled, ' ') + "] ";
  }
  text +=
      std::to_string(static_cast<int>(share * 100)) + " %, " + count(shown) + " of " + count(total);
  if (const auto left = TimeLeft(shown, total, elapsed)) {
    text += ", about " + HumanDuration(*left) + " left";
  }
  return text;
}

void Progress::Show(uint64_t done, uint64_t total) {
  const auto now = output_.now();
  const MutexLock lock(mutex_);
  if (now - shown_ < (output_.is_terminal ? kBarInterval : kLineInterval)) return;
  shown_ = now;
  const std::string text =
      Text(done, total, std::chrono::duration_cast<milliseconds>(now - start_));
  if (!output_.is_terminal) {
    output_.write(text + "\n");
    return;
  }
  const size_t rest = bar_width_ > text.size() ? bar_width_ - text.size() : 0;
  output_.write("\r" + text + std::string(rest, ' '));
  bar_width_ = text.size();
}

void Progress::Clear() {
  const MutexLock lock(mutex_);
  if (bar_width_ == 0) return;
  output_.write("\r" + std::string(bar_width_, ' ') + "\r");
  bar_width_ = 0;
}

}  // namespace dedupfs
