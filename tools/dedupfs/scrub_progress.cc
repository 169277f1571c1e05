#include "tools/dedupfs/scrub_progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/dedupfs/output.h"

namespace dedupfs {
namespace {

constexpr size_t kBarWidth = 20;
constexpr size_t kUsualColumns = 80;
constexpr uint64_t kPercentStep = 5;
constexpr std::chrono::minutes kLongestSilence{1};

double Share(const ScrubState& state) {
  if (state.total_bytes == 0) return 0;
  const double share =
      static_cast<double>(state.done_bytes) / static_cast<double>(state.total_bytes);
  return std::min(share, 1.0);
}

uint64_t Percent(const ScrubState& state) { return static_cast<uint64_t>(100 * Share(state)); }

std::string Numbers(const ScrubState& state) {
  std::string text = HumanBytes(state.done_bytes) + " of " + HumanBytes(state.total_bytes);
  if (!state.note.empty()) text += ", " + state.note;
  if (state.seconds_left) text += ", " + HumanTime(*state.seconds_left) + " left";
  return text;
}

size_t Columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualColumns;
  return size.ws_col;
}

}  // namespace

std::string ScrubBar(const ScrubState& state, size_t columns) {
  std::string percent = std::to_string(Percent(state)) + " %";
  if (percent.size() < 5) percent.insert(0, 5 - percent.size(), ' ');
  std::string bar(static_cast<size_t>(Share(state) * kBarWidth), '=');
  bar.resize(kBarWidth, ' ');
  std::string text = percent;
  text.append(" [").append(bar).append("] ").append(Numbers(state));
  if (text.size() > columns) text.resize(columns);
  return text;
}

std::string ScrubLine(const ScrubState& state) {
  return std::to_string(Percent(state)) + " %, " + Numbers(state);
}

bool ScrubLines::IsDue(const ScrubState& state, Clock::time_point now) {
  const uint64_t percent = Percent(state);
  if (percent_ && percent < *percent_ + kPercentStep && now < time_ + kLongestSilence) return false;
  percent_ = percent;
  time_ = now;
  return true;
}

ScrubProgress::ScrubProgress() : terminal_(::isatty(STDERR_FILENO) == 1) {}

void ScrubProgress::Show(const ScrubState& state) {
  if (terminal_) {
    // The last column stays free: a terminal may begin a new line there.
    std::fprintf(stderr, "\r%s\x1b[K", ScrubBar(state, Columns() - 1).c_str());
    shown_ = true;
  } else if (lines_.IsDue(state, ScrubLines::Clock::now())) {
    std::fprintf(stderr, "%s\n", ScrubLine(state).c_str());
  }
  std::fflush(stderr);
}

void ScrubProgress::End() {
  if (std::exchange(shown_, false)) std::fprintf(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace dedupfs
