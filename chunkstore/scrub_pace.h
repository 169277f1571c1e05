// How fast a scrub may read, and how long it will take.
//
// Thread safety: none; the owner locks.
// Units:         bytes; times are those of the clock that the caller reads.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace dedupfs {

class ScrubPace {
 public:
  using Clock = std::chrono::steady_clock;

  // From now on at most so many bytes a second; 0: no limit.
  void Set(uint64_t bytes_per_second, Clock::time_point now) {
    rate_ = bytes_per_second;
    start_ = now;
    bytes_ = 0;
  }

  // Notes what was read. Time that was not used is not saved up for longer than kMostCredit.
  void Add(uint64_t bytes, Clock::time_point now) {
    if (Due() + kMostCredit < now) Set(rate_, now);
    bytes_ += bytes;
  }

  // When more may be read.
  Clock::time_point Due() const {
    if (rate_ == 0) return start_;
    const std::chrono::duration<double> time(static_cast<double>(bytes_) /
                                             static_cast<double>(rate_));
    return start_ + std::chrono::duration_cast<Clock::duration>(time);
  }

 private:
  static constexpr std::chrono::seconds kMostCredit{1};

  uint64_t rate_ = 0;
  uint64_t bytes_ = 0;
  Clock::time_point start_;
};

// Nothing where nothing has been read.
inline std::optional<uint64_t> SecondsLeft(uint64_t bytes_read, std::chrono::duration<double> time,
                                           uint64_t bytes_left) {
  if (bytes_read == 0) return std::nullopt;
  return static_cast<uint64_t>(time.count() * static_cast<double>(bytes_left) /
                               static_cast<double>(bytes_read));
}

}  // namespace dedupfs
