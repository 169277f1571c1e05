#include "tools/dedupfs/progress.h"

#include <sys/ioctl.h>
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
constexpr size_t kUsualColumns = 80;
constexpr const char* kClearLine = "\r\x1b[K";

size_t TerminalColumns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualColumns;
  return size.ws_col;
}

}  // namespace

ProgressOutput StderrProgress() {
  ProgressOutput output;
  output.is_terminal = ::isatty(STDERR_FILENO) == 1;
  output.columns = TerminalColumns();
  output.write = [](const std::string& text) {
    std::fputs(text.c_str(), stderr);
    std::fflush(stderr);
  };
  output.now = [] { return std::chrono::steady_clock::now(); };
  return output;
}

std::optional<seconds> TimeLeft(uint64_t done, uint64_t total, milliseconds elapsed) {
  if (done == 0 || total == 0 || elapsed < kTooSoonToTell) return std::nullopt;
  if (done >= total) return seconds(0);
  const double left = static_cast<double>(elapsed.count()) * static_cast<double>(total - done) /
                      static_cast<double>(done);
  return seconds(std::llround(left / 1000));
}

Progress::Progress(std::string what, ProgressUnit unit, ProgressOutput output)
    : what_(std::move(what)), unit_(unit), output_(std::move(output)), start_(output_.now()) {
  if (!output_.is_terminal) shown_ = start_;
}

Progress::~Progress() { Clear(); }

std::string Progress::Text(const ProgressState& state, milliseconds elapsed) const {
  const auto count = [this](uint64_t value) {
    return unit_ == ProgressUnit::kBytes ? HumanBytes(value) : std::to_string(value);
  };
  const std::string note = state.note.empty() ? std::string() : ", " + state.note;
  if (state.total == 0) return what_ + ": " + count(state.done) + note;
  const uint64_t done = std::min(state.done, state.total);
  const double share = static_cast<double>(done) / static_cast<double>(state.total);
  std::string text = what_ + ": ";
  if (output_.is_terminal) {
    const auto filled = static_cast<size_t>(share * kBarCells);
    text += "[" + std::string(filled, '#') + std::string(kBarCells - filled, ' ') + "] ";
  }
  text += std::to_string(static_cast<int>(share * 100)) + " %, " + count(done) + " of " +
          count(state.total) + note;
  const auto left = state.knows_time_left ? state.time_left : TimeLeft(done, state.total, elapsed);
  if (left) text += ", about " + HumanTime(static_cast<uint64_t>(left->count())) + " left";
  return text;
}

void Progress::Write(const ProgressState& state) {
  const auto now = output_.now();
  shown_ = now;
  std::string text = Text(state, std::chrono::duration_cast<milliseconds>(now - start_));
  if (!output_.is_terminal) {
    output_.write(text + "\n");
    return;
  }
  // The last column stays free: a terminal may begin a new line there.
  if (text.size() >= output_.columns) text.resize(output_.columns - 1);
  output_.write(kClearLine + text);
  bar_stands_ = true;
}

void Progress::Show(const ProgressState& state) {
  const MutexLock lock(mutex_);
  const auto interval = output_.is_terminal ? kBarInterval : kLineInterval;
  if (!shown_ || output_.now() - *shown_ >= interval) Write(state);
}

void Progress::ShowNow(const ProgressState& state) {
  const MutexLock lock(mutex_);
  Write(state);
}

void Progress::Clear() {
  const MutexLock lock(mutex_);
  if (std::exchange(bar_stands_, false)) output_.write(kClearLine);
}

}  // namespace dedupfs
