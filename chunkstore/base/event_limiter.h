// Holds back log events that repeat too often, and counts what it held back.
//
// Thread safety: none; the log calls it under its lock.
// Units:         times are those of the steady clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace dedupfs {

class EventLimiter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr uint64_t kPerWindow = 10;
  static constexpr std::chrono::seconds kWindow{10};
  static constexpr size_t kMaxEvents = 1024;  // bounds the memory, whatever is logged

  struct Verdict {
    bool show = true;
    uint64_t held_back = 0;  // in the window that this call ended
  };

  Verdict Admit(std::string_view event, Time now);

 private:
  struct Window {
    Time start;
    uint64_t seen = 0;
  };
  std::map<std::string, Window, std::less<>> windows_;
};

}  // namespace dedupfs
